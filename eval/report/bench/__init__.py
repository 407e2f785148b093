"""Reports of benchmark scores: a module for each kind of score, and what they share."""
