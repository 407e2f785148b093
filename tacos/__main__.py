"""`python -m tacos`."""

from tacos.cli import main

main()
