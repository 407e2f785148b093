"""IQS, the instruction-pair quality score of CaR (arXiv 2402.18191), trained on expert-revised pairs.

`light` (`light.py`) is the default and needs a CPU and minutes; `encoder` (`encoder.py`) is the paper's.
Both read every text through `canonical` (`text.py`), on both sides of a pair and at inference alike.
"""
