"""TACOS: open tagging and comparative scoring (arXiv 2507.03673).

    tag -> normalize -> cluster the tags (K) -> compare pairs inside clusters -> allocate

    group      `tags`          tagging, normalization, clustering, reduce     (tacos/grouping/tags.py)
               `embedding`     in its place where no LLM tags                 (tacos/grouping/embedding.py)
    score      `comparative`   two samples of a cluster in one call           (tacos/scoring/comparative.py)
    allocate   `per_group`     an equal share of each cluster                 (tacos/allocation/per_group.py)

Without an LLM clusters of prompt embeddings stand in for tags, as many as the paper's K. Keyphrases as tags
(`group.by=tags` with no `tagging.llm`) find the known classes of a pool less well: NMI 0.58 against 0.82 on the builtin
skills, 0.10 against 0.11 on Dolly's categories at the same k, and leave 23% and 66% of the rows without a tag
(`scripts/bench/groupings.py`, 2026-11-26). Other defaults follow the paper where it can be read;
`configs/select/tacos.yaml` puts the LLMs back, `configs/select/tacos_released.yaml` also takes the
released code's choices (frequency before rules, whole-phrase stem, cluster-signature reduction, stored
order, odd samples dropped, instruction without input).

The paper's figure 2 takes the top of all scores, the released code an equal share of each cluster;
scores of different clusters come from different comparisons, so the equal share is the default.

The paper's ablations: without open tagging `group.by=none`; without comparison `score.by=rating`
(`configs/experiments/tacos_ablation.yaml`). `tacos-refined` also rewrites what was selected (`refining.py`).
"""

from __future__ import annotations

from tacos.allocation.per_group import PerGroup
from tacos.grouping.embedding import EmbeddingGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.methods.refining import Refine
from tacos.scoring.comparative import Comparative

TACOS = Recipe(group=EmbeddingGroups(text="prompt", k=50), score=Comparative(), allocate=PerGroup())
PAPER = "arXiv 2507.03673"
preset("tacos", TACOS, "open tagging, comparative scoring inside clusters", PAPER)
preset("tacos-refined", TACOS, "TACOS's selection, rewritten by an LLM", PAPER, Refine())
