"""The generated world: a pool with known defects, its truth, its test questions, a corpus for a tiny base."""
