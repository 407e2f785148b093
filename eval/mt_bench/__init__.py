"""MT-Bench (arXiv 2306.05685): 80 two-turn questions, rated 1-10 by a judge, or compared in pairs."""
