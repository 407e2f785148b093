"""Where the caps of language models would stop a run: what is on a bill, what is to come, and what fits.

A run counts what stands on the bill of its name and model (`tacos.llm.bill`), replies from the cache that are not on it
yet, and the calls it makes; a plan counts the same, stage after stage:

    tacos/lab, max_cost_usd 0.03     on the bill $0.0190
    tag        60 calls, $0.004      $0.0230
    compare    102 calls, $0.008     $0.0310: a run stops here

A stage that makes no call is never stopped, whatever the cap.
"""

from __future__ import annotations

from pathlib import Path

from tacos.amounts import money
from tacos.llm.bill import BillReader, Tokens
from tacos.llm.build import unpriced_cap
from tacos.llm.cache import ReplyCache
from tacos.llm.estimate import Asked, Unbilled, expected_usage
from tacos.llm.settings import LLMSettings
from tacos.llm.spend import of_caps
from tacos.pipeline.settings import ModelsSettings
from tacos.pipeline.tools import work_name
from tacos.types import Record
from tacos.usage import Usage


class OnBill(Record):
    """What earlier runs put on the bill that a stage's calls go on."""

    bill: str
    """The experiment or method, and the model's name under `llms`: "tacos/lab"."""
    spent_usd: float
    spent_tokens: int
    described: str
    """Beside the caps: "$0.0190 of max_cost_usd=0.03"."""


class CapCheck(Record):
    """What a stage uses, whose bill it goes on, and why a cap stops it there; None where there is none."""

    usage: Usage
    on_bill: OnBill | None = None
    stopped: str | None = None


class Bills:
    """The bills of some settings, as they will stand when the stages that were looked at are done.

    earlier: bills of other cells, which may be the same ones.
    """

    def __init__(self, settings: ModelsSettings, earlier: Bills | None = None):
        path = settings.replies
        self.work = work_name(settings)
        self.replies = ReplyCache(path) if path.is_file() else None
        self._path = path
        self._coming: dict[tuple[Path, str], Tokens] = earlier._coming if earlier else {}

    def check(self, asked: Asked) -> CapCheck:
        """What a stage will use, put on its bill."""
        llm = asked.settings
        if llm.max_cost_usd is None and llm.max_tokens_total is None:
            return CapCheck(usage=expected_usage(asked, self.replies))
        name = f"{self.work}/{asked.llm}"
        bill = BillReader(self.replies, name) if self.replies else None
        unbilled = Unbilled(bill) if bill else None
        usage = expected_usage(asked, self.replies, unbilled)
        spent = bill.total() if bill else Tokens(0, 0)
        coming = self._coming.get((self._path, name), Tokens(0, 0))
        coming = coming.plus(usage.prompt_tokens, usage.completion_tokens)
        coming = coming.plus(*unbilled.tokens) if unbilled else coming
        self._coming[self._path, name] = coming
        on_bill = OnBill(
            bill=name,
            spent_usd=llm.price(*spent),
            spent_tokens=sum(spent),
            described=of_caps(spent, llm),
        )
        why = unpriced_cap(llm) or (_stopped(spent.plus(*coming), llm) if usage.calls else None)
        return CapCheck(usage=usage, on_bill=on_bill, stopped=why)


def _stopped(total: Tokens, llm: LLMSettings) -> str | None:
    """total: of the bill with all that is to come."""
    most, cost, tokens = llm.max_cost_usd, llm.price(*total), sum(total)
    if most is not None and cost > most:
        return f"the bill of {llm.model!r} comes to about {money(cost, beside=most)}, and max_cost_usd is {most:g}"
    if llm.max_tokens_total is not None and tokens > llm.max_tokens_total:
        return f"{llm.model!r} comes to about {tokens:,} tokens, and max_tokens_total is {llm.max_tokens_total:,}"
    return None
