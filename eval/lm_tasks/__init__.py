"""Tasks of EleutherAI's lm-evaluation-harness (`pip install tacos[lm-eval]`), answered by the models of tacos."""
