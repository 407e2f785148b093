"""Paying by batch file: a run's next calls out to JSONL, their results back into the reply cache.

    tacos llm export CONFIG --out batch/1          writes tagger-00001.jsonl, ...: what the tag stage would ask
    (upload, wait, download the results)
    tacos llm import CONFIG --exported batch/1 --results results.jsonl
    tacos llm export CONFIG --out batch/2          tags are known now: writes what the compare stage would ask

A stage that rests on answers can be exported only when they are there, so each of a run's LLM stages is a round of its
own. Free stages in between are done on the way; training and answering are not: `tacos run` does those. What is owed
in the end (failed rows, unreadable replies) goes into the next export, or is asked by the run itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tacos.amounts import money
from tacos.assets import Assets
from tacos.errors import ConfigError, SpendCapError, TacosError, nearest
from tacos.llm.backends.openai import OpenAIBackend
from tacos.llm.base import LLM
from tacos.llm.batch_files import BatchWriter, Exported, Import, RecordBackend, Sent, result_files
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM
from tacos.llm.estimate import batch_cost, expected_usage
from tacos.llm.settings import LLMSettings
from tacos.pipeline.plan import stages_of
from tacos.pipeline.settings import ExperimentSettings, ModelsSettings, SelectSettings
from tacos.pipeline.tools import make_tools, open_store
from tacos.stage import Stage
from tacos.store import tables
from tacos.store.files import read_json, write_json
from tacos.types import Pool, Record
from tacos.usage import Ledger, Usage

log = logging.getLogger(__name__)
MANIFEST = "export.json"
LONG = ("base", "train", "answer")
"""Stages that train or run the model under test, and those whose names begin so: "answer_mt_bench"."""


class ExportedFile(Record):
    """llm: its name under `llms`."""

    llm: str
    model: str
    file: str


class Export(Record):
    """What was written. stages: those whose calls are in the files; waiting: LLM stages that cannot be asked yet."""

    files: tuple[ExportedFile, ...]
    requests: int
    stages: tuple[str, ...]
    waiting: tuple[str, ...]
    estimate: Usage
    """Tokens as expected, and money at the standard price."""
    batch_usd: float | None
    """Money at the batch price; None where that is not known."""


class Imported(Record):
    """Rows of the results by what became of them."""

    imported: int
    known: int
    """Whose reply was in the cache already; that one stays."""
    duplicate: int
    unknown: int
    """Not of this export."""
    unreadable: int
    """Lines that are no JSON: a file that was cut off."""
    failed: int
    reasons: dict[str, int]
    """Why calls failed, most often first."""
    missing: int
    """Calls of the export that have no reply yet."""
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    """Of the imported replies, at the batch price where it is known, else at the standard price; None where no price
    is known."""


def export(
    settings: ExperimentSettings | SelectSettings,
    out: Path,
    only: str | None = None,
    assets: Assets | None = None,
) -> Export:
    """Write the calls that can be asked now and that the cache does not answer.

    only: the name of one kind of stage, such as "tag"; others are left to a later export.
    assets: upstream's files, where the experiment has public benchmarks.

    Raises: ConfigError for a folder with an earlier export, or an LLM that takes no batch files; SpendCapError when
        the calls are expected to pass a cap.
    """
    if any(out.glob("*.jsonl")):
        raise ConfigError(f"{out} holds an earlier export: import its results, then name another folder")
    stages = list(stages_of(settings, assets))
    paying = [stage for stage in stages if stage.estimate]
    if only is not None and only not in {stage.name for stage in paying}:
        raise ConfigError(f"no stage {only!r} asks an LLM here: {nearest(only, {s.name for s in paying})}")
    with ExitStack() as open_files:
        work = _Export(settings, out, open_files)
        needed = {parent.fingerprint for stage in paying for parent in stage.walk()}
        for stage in stages:
            if stage.fingerprint in needed:
                work.visit(stage, only)
    return work.finish()


class _Export:
    """An export at work."""

    def __init__(self, settings: ExperimentSettings | SelectSettings, out: Path, open_files: ExitStack):
        self.out = out
        self.settings = settings
        self.models = settings.models()
        self.store = open_store(settings)
        self.replies = ReplyCache(settings.replies)
        self.tools = replace(make_tools(settings, Ledger()), llm=self.recorder)
        self.free = make_tools(settings, Ledger())
        self.writers: dict[str, BatchWriter] = {}
        self.stages: list[str] = []
        self.waiting: list[str] = []
        self.usage, self.batch_usd = Usage(), 0.0
        self.batch_known = True
        self._seen: set[bytes] = set()
        self._open_files = open_files

    def visit(self, stage: Stage, only: str | None) -> None:
        """Do a stage that is free or has its replies; write the calls of one that has not."""
        if self.store.is_done(stage):
            return
        ready = all(self.store.is_done(parent) for parent in stage.inputs.values())
        if not ready or stage.name.startswith(LONG) or (stage.estimate and only not in (None, stage.name)):
            self.waiting += [stage.name] if stage.estimate else []
        elif stage.estimate is None:
            self.store.run(stage, self.free)
        else:
            self._record(stage)

    def _record(self, stage: Stage) -> None:
        usage, batch_usd = self._expected(stage)
        try:
            self.store.run(stage, self.tools)
        except Exported:
            self.stages.append(stage.name)
            self.usage += usage
            self.batch_usd += batch_usd or 0.0
            self.batch_known = self.batch_known and batch_usd is not None

    def _expected(self, stage: Stage) -> tuple[Usage, float | None]:
        """Raises: SpendCapError."""
        assert stage.estimate is not None
        inputs = {name: self.store.folder(parent) for name, parent in stage.inputs.items()}
        pool = Pool.read(inputs["pool"] / tables.POOL) if "pool" in inputs else Pool.from_samples([])
        asked = stage.estimate(pool, inputs)
        usage, llm = expected_usage(asked, self.replies), asked.settings
        batch_usd = batch_cost(usage, llm)
        cost = usage.cost_usd if batch_usd is None else batch_usd
        tokens = usage.prompt_tokens + usage.completion_tokens
        if (llm.max_cost_usd is not None and cost > llm.max_cost_usd) or (
            llm.max_tokens_total is not None and tokens > llm.max_tokens_total
        ):
            raise SpendCapError(
                f"{stage.name} is expected to take {tokens:,} tokens and {money(cost, llm.max_cost_usd)} of "
                f"{llm.model}, which is more than its cap: raise max_cost_usd or max_tokens_total, or ask for less; "
                "nothing was exported"
            )
        return usage, batch_usd

    def recorder(self, name: str) -> LLM:
        """The client that writes the calls of `llms.<name>` out."""
        llm = self.models[name]
        if llm.backend != "openai":
            raise ConfigError(f"llms.{name} has backend {llm.backend}: batch files are for backend: openai")
        if name not in self.writers:
            self.writers[name] = self._open_files.enter_context(BatchWriter(self.out, name, self._seen))
        backend = RecordBackend(OpenAIBackend(llm), self.writers[name])
        # What is written counts as failed until its reply is there, and no cap holds what is not asked.
        open_ended = {"max_failed_share": 1.0, "max_cost_usd": None, "max_tokens_total": None}
        return CachedLLM(backend, self.replies, Ledger(), llm.model_copy(update=open_ended))

    def finish(self) -> Export:
        """Write the manifest, last; none where nothing was written."""
        files = tuple(
            ExportedFile(llm=name, model=self.models[name].model, file=path.name)
            for name, writer in self.writers.items()
            for path in writer.files
        )
        made = Export(
            files=files,
            requests=sum(writer.requests for writer in self.writers.values()),
            stages=tuple(self.stages),
            waiting=tuple(dict.fromkeys(self.waiting)),
            estimate=self.usage,
            batch_usd=self.batch_usd if self.batch_known else None,
        )
        if files:
            write_json(self.out / MANIFEST, made)
        return made


def import_results(settings: ModelsSettings, exported: Path, results: Sequence[Path]) -> Imported:
    """Put the replies of result files, in any order, into the cache of `settings`.

    exported: the folder that `export` wrote. results: files, or folders of JSONL files.

    Raises: TacosError for files that cannot be read, or no export; ConfigError for no results.
    """
    try:
        made = Export.model_validate(read_json(exported / MANIFEST))
    except (OSError, ValueError) as error:
        raise TacosError(
            f"{exported} holds no finished export: give the folder of `tacos llm export`"
        ) from error
    work = Import(Sent([exported / file.file for file in made.files]), ReplyCache(settings.replies))
    for path in result_files(results):
        work.read(path)
    llms = {exported / file.file: settings.models().get(file.llm) for file in made.files}
    costs = [_cost(llms[path], *tokens) for path, tokens in work.tokens.items()]
    priced = [cost for cost in costs if cost is not None]
    rows = {
        name: work.rows[name]
        for name in ("imported", "known", "duplicate", "unknown", "unreadable", "failed")
    }
    return Imported(
        **rows,
        reasons=dict(work.failed.most_common()),
        missing=work.missing(),
        prompt_tokens=sum(prompt for prompt, _ in work.tokens.values()),
        completion_tokens=sum(reply for _, reply in work.tokens.values()),
        cost_usd=sum(priced) if len(priced) == len(costs) else None,
    )


def _cost(llm: LLMSettings | None, prompt: int, reply: int) -> float | None:
    if llm is None or llm.unpriced:
        return None
    return llm.price(prompt, reply) * (1 - (llm.batch_discount or 0.0))
