"""Numbers as tables, plots and pages: of a whole experiment, and of benchmark scores."""
