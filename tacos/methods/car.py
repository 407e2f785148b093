"""CaR: clustering and ranking (arXiv 2402.18191).

    score     the quality of every instruction pair (IQS), by a scorer trained on experts' revisions
    cluster   embeddings of whole pairs, PCA to 95% of the variance, k-means with k = floor(sqrt(n / 2))
    select    the n1 best of all, and the n2 best of each cluster that are not among them

    group      `embedding`      (tacos/grouping/embedding.py)
    score      `iqs`            score.scorer is the folder of `tacos iqs train` (tacos/scoring/instruction_quality.py)
    allocate   `top_and_best`   allocate.top is n1, allocate.per_group n2 (tacos/allocation/top_and_best.py)

The paper's n1 = 1,000 and n2 = 1 took 1,017 of Alpaca's 52,002 rows; the released file holds 1,013. Here n1 follows
from the budget, so that CaR can be compared with others row for row; `allocate.top` sets it as in the paper.

k-means has 1 start of at most 100 iterations here; the released code's library took 10 of 300 (`group.restarts`,
`group.max_iterations`, as in `configs/select/car_released.yaml`).
"""

from __future__ import annotations

from tacos.allocation.top_and_best import TopAndBest
from tacos.grouping.embedding import EmbeddingGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.scoring.instruction_quality import InstructionQuality

preset(
    "car",
    Recipe(group=EmbeddingGroups(), score=InstructionQuality(), allocate=TopAndBest()),
    "expert-trained quality; the top and each cluster's best",
    "arXiv 2402.18191",
)
