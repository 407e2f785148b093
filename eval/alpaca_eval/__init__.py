"""AlpacaEval 2 (arXiv 2404.04475): 805 instructions against one baseline, with length-controlled win rates."""
