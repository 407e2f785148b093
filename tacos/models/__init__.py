"""Models in this process: where they run and in which numbers."""
