"""Where numbers, tables and files of every command go beside its own output: Weights & Biases."""
