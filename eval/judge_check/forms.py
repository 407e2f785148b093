"""The forms in which labelled pairs are published, recognised by the keys of their rows.

    name      file                                    instruction, outputs                       labels
    own       any                                     instruction, input?, output_1, output_2    1, 2; 0, 1.5, tie
    LLMBar    Dataset/**/dataset.json                 input, output_1, output_2                  1, 2
    Auto-J    data/test/testdata_pairwise.jsonl       prompt, "response 1", "response 2"         0, 1; 2 is a tie
    PandaLM   data/testset-v1.json                    instruction, input?, response1, response2  1, 2; 0 is a tie

LLMBar (https://arxiv.org/abs/2310.07641) calls the whole instruction `input`. Auto-J (arXiv 2310.05470) counts outputs
from 0: its label 1 means the second. PandaLM (arXiv 2306.05087) has three people's labels under `annotator1`,
`annotator2`, `annotator3`, and NaN for an absent `input`. Our own rows may hold several people's labels as a list under
`annotators`.

A file has one form: that of most of its rows. So a row of ours that lacks its instruction is never taken for LLMBar's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tacos.types import Record

TIE = 0
"""Neither output is better."""


class PairForm(Record):
    """Where a set keeps what, and what its labels mean."""

    name: str
    instruction: str = "instruction"
    """Key of the instruction; the next three likewise."""
    output_1: str = "output_1"
    output_2: str = "output_2"
    input: str | None = "input"
    """Of what the instruction is about, where there is any."""
    id: str = "id"
    annotators: tuple[str, ...] = ()
    """Keys of several people's labels; empty where they are a list under `annotators`."""
    labels: dict[int | float | str, int]
    """What the file may say -> the better output, 1 or 2, or 0 for neither."""

    @property
    def texts(self) -> dict[str, str]:
        """Our key -> theirs, of the texts that every row must have."""
        return {"instruction": self.instruction, "output_1": self.output_1, "output_2": self.output_2}

    def fits(self, row: Any) -> bool:
        return isinstance(row, Mapping) and all(key in row for key in self.texts.values())

    def votes(self, row: Mapping[str, Any]) -> Any:
        """Several people's labels as the row has them; None where it has none."""
        return [row.get(key) for key in self.annotators] if self.annotators else row.get("annotators")

    def meaning(self, said: Any) -> int | None:
        """1 or 2 for the better output, 0 for neither; None for what is no label of this form."""
        plain = isinstance(said, int | float | str) and not isinstance(said, bool)
        return self.labels.get(said) if plain else None

    @property
    def allowed(self) -> str:
        return ", ".join(dict.fromkeys(map(str, self.labels)))


OWN = PairForm(
    name="own",
    labels={1: 1, 2: 2, 0: TIE, 1.5: TIE, "tie": TIE}
    | {"1": 1, "2": 2, "0": TIE, "1.5": TIE, "output_1": 1, "output_2": 2},
)
LLMBAR = PairForm(name="LLMBar", instruction="input", input=None, labels={1: 1, 2: 2})
AUTO_J = PairForm(
    name="Auto-J",
    instruction="prompt",
    output_1="response 1",
    output_2="response 2",
    labels={0: 1, 1: 2, 2: TIE},
)
PANDALM = PairForm(
    name="PandaLM",
    output_1="response1",
    output_2="response2",
    id="idx",
    annotators=("annotator1", "annotator2", "annotator3"),
    labels={0: TIE, 1: 1, 2: 2},
)
FORMS = (OWN, LLMBAR, AUTO_J, PANDALM)


def form_of(rows: Sequence[Any]) -> PairForm:
    """The form of most rows; a row that fits two (it has an instruction and an `input`) is our own."""
    fitting = [next((form for form in FORMS if form.fits(row)), None) for row in rows]
    return max(FORMS, key=fitting.count)
