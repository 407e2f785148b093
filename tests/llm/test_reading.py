"""Asking until it can be read: what is asked again, how, and what is left as an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tacos.answering.judge import Comparison, LLMJudge, LLMJudgeSettings
from tacos.grouping.tagging import LLMTagger, TaggingSettings
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Request
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM
from tacos.llm.parse import parse_score
from tacos.llm.reading import REMINDER, Read, ask
from tacos.llm.settings import LLMSettings
from tacos.scoring.comparative import Comparative, LLMComparator
from tacos.selection import Groups
from tacos.tracking import Ledger
from tacos.types import Pool, make_sample

from .helpers import ask as request_of
from .server import FaultServer


def score(text: str) -> float:
    return parse_score(text, 1, 10)


def client(model: ScriptedLLM, cache: Path | None = None) -> CachedLLM:
    settings = LLMSettings(model="m", backend="scripted")
    return CachedLLM(model, ReplyCache(cache) if cache else None, Ledger(), settings)


def hesitant(request: Request) -> str | Exception:
    """Reads row 1 at the second time of asking, row 2 never; row 3 fails."""
    row, again = int(request.messages[0].content.split()[1]), request.repeat
    if row == 3:
        return RuntimeError("boom")
    return "no idea" if row == 2 or (row == 1 and not again) else f"Score: {row + 1}"


def rows(llm: CachedLLM, count: int = 4, reask: int = 1) -> list[Read[float]]:
    return ask(llm, count, lambda row: request_of(f"row {row}"), score, reask)


def test_an_unreadable_reply_is_asked_again_once_and_counted(tmp_path: Path) -> None:
    model = ScriptedLLM(hesitant)
    llm = client(model, tmp_path / "c.sqlite")
    read = rows(llm)
    assert [row.value for row in read] == [1.0, 2.0, None, None]
    assert read[2].error == "unreadable reply, asked 2 times: no score in 'no idea'"
    assert read[2].unread == "no idea" and read[3] == Read(error="RuntimeError: boom")
    assert model.calls == 6 and llm.ledger.total.calls == 5 and llm.ledger.total.failed_calls == 1
    assert rows(client(model, tmp_path / "c.sqlite")) == read
    assert model.calls == 7  # only the failed row is asked again


def test_the_second_request_begins_as_the_first_and_is_another() -> None:
    model = ScriptedLLM(hesitant)
    rows(client(model), count=2)
    first, second = (request for request in model.requests if "row 1" in request.messages[0].content)
    assert second.messages[0].content == f"{first.messages[0].content}\n\n{REMINDER}"
    assert (first.repeat, second.repeat) == (0, 1)


def test_no_second_asking_when_it_is_not_wanted() -> None:
    model = ScriptedLLM(hesitant)
    assert [row.value for row in rows(client(model), reask=0)] == [1.0, None, None, None]
    assert model.calls == 4


def test_nothing_to_ask() -> None:
    assert rows(client(ScriptedLLM(hesitant)), count=0) == []


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(0, 3))
def test_every_row_is_read_or_says_why(silent: list[int], reask: int) -> None:
    """silent: how often each row answers nonsense before it answers."""

    def answer(request: Request) -> str:
        row = int(request.messages[0].content.split()[1])
        return "Score: 5" if request.repeat >= silent[row] else "?"

    model = ScriptedLLM(answer)
    read = rows(client(model), len(silent), reask)
    assert [row.value for row in read] == [5.0 if times <= reask else None for times in silent]
    assert all((row.error is None) == (row.value is not None) for row in read)
    assert model.calls == sum(min(times, reask) + 1 for times in silent)


POOL = Pool.from_samples(make_sample(f"Question {i}?", f"Answer {i}.", id=f"s{i}") for i in range(6))


def twice(good: str) -> FaultServer:
    """A server that answers well only when it was reminded."""
    return FaultServer(answer=lambda content: good if REMINDER in content else "Sorry?")


def through(server: FaultServer, tmp_path: Path) -> CachedLLM:
    from . import helpers

    return helpers.client(server.endpoint, tmp_path / "c.sqlite", concurrency=1)


def test_all_stages_ask_again_over_the_wire(tmp_path: Path) -> None:
    verdict = '{"feedback": "-", "score_1": 3, "score_2": 7}'
    with twice('[{"tag": "maths"}]') as server:
        tags = LLMTagger(TaggingSettings(), through(server, tmp_path)).tag(POOL)
        assert tags.rows == (("maths",),) * 6 and not tags.errors and server.hits == 12
    with twice(verdict) as server:
        settings = Comparative()
        pairs = settings.pairs(Groups.one(6), 0)
        scores = LLMComparator(settings, through(server, tmp_path)).compare(POOL, pairs)
        assert [(pair.first, pair.second, pair.error) for pair in scores] == [(3, 7, None)] * 3
        assert server.hits == 6
        items = [Comparison(question="q", answer_1="a", answer_2="b")]
        (found,) = LLMJudge(through(server, tmp_path)).judge(items)
        assert (found.score_1, found.score_2, found.raw) == (3, 7, verdict) and server.hits == 8
        (missing,) = LLMJudge(through(server, tmp_path), LLMJudgeSettings(reask=0)).judge(items)
        assert missing.error is not None and missing.raw == "Sorry?" and server.hits == 8


def test_samples_of_a_group_are_sent_next_to_each_other(tmp_path: Path) -> None:
    groups = Groups(("a", "b"), (np.array([0, 2, 4]), np.array([1, 3, 5])))
    settings = Comparative(rounds=2)
    with FaultServer(answer=lambda _: '{"score_1": 3, "score_2": 7}') as server:
        comparator = LLMComparator(settings, through(server, tmp_path))
        comparator.compare(POOL, settings.pairs(groups, 0))
    texts = [body["messages"][0]["content"] for body in server.bodies]
    shown = [{i for i in range(6) if f"Question {i}?" in text} for text in texts]
    even = [rows <= {0, 2, 4} for rows in shown]
    assert even == sorted(even, reverse=True) and 0 < sum(even) < len(even)
