"""Tasks of EleutherAI's lm-evaluation-harness (the extra `lm-eval`), answered by the models of tacos."""
