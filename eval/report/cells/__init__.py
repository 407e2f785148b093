"""The report over the cells of a matrix: tables of arms by cells, curves, what a selection is worth in random rows, and
whether the order of arms survives another recipe."""
