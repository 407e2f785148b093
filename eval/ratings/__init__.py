"""Ratings of several models out of pairwise comparisons."""
