"""Asking until it can be read: what is asked again, how, and what is left as an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.answering.judge import Comparison, LLMJudge, LLMJudgeSettings
from tacos.errors import LLMError
from tacos.grouping.tagging import LLMTagger, TaggingSettings
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Completion, Request
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM
from tacos.llm.parse import ParseError, parse_score
from tacos.llm.reading import REMINDER, CutOffError, Read, ask, said
from tacos.llm.settings import LLMSettings
from tacos.scoring.comparative import Comparative
from tacos.scoring.comparators import LLMComparator
from tacos.scoring.designs import Design
from tacos.selection import Groups
from tacos.types import Pool, make_sample
from tacos.usage import Ledger

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


def chatty(readable: Callable[[int, int], bool]) -> ScriptedLLM:
    """readable: row, times it was asked before -> whether its reply is."""
    return ScriptedLLM(
        lambda r: (
            "Score: 5" if readable(int(r.messages[0].content.split()[1]), r.repeat) else "Sure, I can help!"
        )
    )


@pytest.mark.parametrize("reask", [0, 1, 2])
def test_a_stage_stops_when_most_replies_cannot_be_read(tmp_path: Path, reask: int) -> None:
    """One in ten can be; of 5,000 rows those of the first block are paid for, and kept."""
    model = chatty(lambda row, again: row % 10 == 0)
    with pytest.raises(LLMError) as stopped:
        rows(client(model, tmp_path / "c.sqlite"), 5000, reask)
    said = str(stopped.value)
    assert (
        "scripted: the replies to 230 of 256 rows cannot be read, 4,744 rows not asked (max_failed_share=0.2)"
        in said
    )
    asked = f", asked {reask + 1} times" if reask else ""
    assert (
        f"such as: unreadable reply{asked}: no score in 'Sure, I can help!'; the prompt does not suit" in said
    )
    assert model.calls == 256 + 230 * reask
    with pytest.raises(LLMError):
        rows(client(model, tmp_path / "c.sqlite"), 5000, reask)
    assert model.calls == 256 + 230 * reask  # from the cache
    goes_on = client(model, tmp_path / "c.sqlite")
    goes_on.settings = goes_on.settings.model_copy(update={"max_failed_share": 0.95})
    assert sum(row.value is not None for row in rows(goes_on, 5000, reask)) == 500


@pytest.mark.parametrize(
    ("readable", "count"),
    [
        (lambda row, again: again > 0, 3000),  # a model that needs the reminder
        (lambda row, again: row % 5 < 3, 3000),
        (lambda row, again: False, 49),
        (lambda row, again: row < 1000, 1900),
    ],
)
def test_a_stage_whose_replies_can_be_read_in_the_end_goes_on(
    readable: Callable[[int, int], bool], count: int
) -> None:
    read = rows(client(model := chatty(readable)), count)
    assert [row.value is not None for row in read] == [readable(row, 1) for row in range(count)]
    assert model.calls == sum(1 if readable(row, 0) else 2 for row in range(count))  # once each, and again


def test_a_stage_stops_where_a_model_goes_wrong_on_the_way() -> None:
    with pytest.raises(LLMError, match="rows not asked"):
        rows(client(model := chatty(lambda row, again: row < 1000)), 50_000)
    assert model.calls < 4000


def test_unread_replies_of_an_earlier_run_stop_no_run_that_asks_anew(tmp_path: Path) -> None:
    with pytest.raises(LLMError):
        rows(client(chatty(lambda row, again: False), tmp_path / "c.sqlite"), 2000)
    llm = client(model := chatty(lambda row, again: True), tmp_path / "c.sqlite")
    llm.retry_unread = True
    assert all(row.value == 5 for row in rows(llm, 2000)) and model.calls == 2000


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
        calls = settings.design.plan(Groups.one(6), 0)
        scores = LLMComparator(settings.call_prompt, through(server, tmp_path)).compare(POOL, calls)
        assert scores.scores.tolist() == [[3, 7]] * 3 and not scores.errors
        assert server.hits == 6
        items = [Comparison(question="q", answer_1="a", answer_2="b")]
        (found,) = LLMJudge(through(server, tmp_path)).judge(items)
        assert (found.score_1, found.score_2, found.raw) == (3, 7, verdict) and server.hits == 8
        (missing,) = LLMJudge(through(server, tmp_path), LLMJudgeSettings(reask=0)).judge(items)
        assert missing.error is not None and missing.raw == "Sorry?" and server.hits == 8


def test_samples_of_a_group_are_sent_next_to_each_other(tmp_path: Path) -> None:
    groups = Groups(("a", "b"), (np.array([0, 2, 4]), np.array([1, 3, 5])))
    settings = Comparative(design=Design(rounds=2))
    with FaultServer(answer=lambda _: '{"score_1": 3, "score_2": 7}') as server:
        comparator = LLMComparator(settings.call_prompt, through(server, tmp_path))
        comparator.compare(POOL, settings.design.plan(groups, 0))
    texts = [body["messages"][0]["content"] for body in server.bodies]
    shown = [{i for i in range(6) if f"Question {i}?" in text} for text in texts]
    even = [rows <= {0, 2, 4} for rows in shown]
    assert even == sorted(even, reverse=True) and 0 < sum(even) < len(even)


def in_turn(*replies: str | Completion) -> ScriptedLLM:
    """A model that gives one reply after the other."""
    left = list(replies)
    return ScriptedLLM(lambda request: left.pop(0))


def judged(text: str, finish: str | None = "stop", **request: Any) -> str:
    return said(Completion(text=text, finish_reason=finish), request_of("q", **request))


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("<think>First impression: [[3]]. But", "length", "cut off in its reasoning at the token limit"),
        (
            "I would give [[4]] for accuracy, however",
            "length",
            "cut off at the token limit (raise sampling.max_tokens above 1024, or",
        ),
        ("", "length", "nothing said at the token limit"),
        ("<think>hm [[3]]</think>", "length", "nothing said at the token limit"),
    ],
)
def test_a_reply_that_was_cut_off_is_no_verdict_and_not_asked_again(
    text: str, finish: str, reason: str
) -> None:
    with pytest.raises(CutOffError, match=re.escape(reason)):
        judged(text, finish)
    model = in_turn(Completion(text=text, finish_reason=finish), "7")
    (row,) = ask(model, 1, lambda row: request_of("q"), float, reask=1)
    assert (row.value, row.unread, row.final, model.calls) == (None, text, True, 1)
    assert reason in (row.error or "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "an empty reply"),
        ("<think>hm [[3]]</think>\n", "nothing but reasoning"),
        ("<think>hm", "ends in its"),
    ],
)
def test_a_whole_reply_that_says_nothing_is_asked_again(text: str, reason: str) -> None:
    with pytest.raises(ParseError, match=reason):
        judged(text)
    model = in_turn(Completion(text=text, finish_reason="stop"), "7")
    (row,) = ask(model, 1, lambda row: request_of("q"), float, reask=1)
    assert (row.value, model.calls) == (7.0, 2)


def test_reasoning_is_no_part_of_what_is_read() -> None:
    assert judged("<think>First: 3.</think>\n\n9") == "9"
    assert judged("A", "length", may_be_cut=True) == "A"


def test_numbers_on_the_first_line_are_whole_when_the_explanation_is_not() -> None:
    assert judged("8 7\nThe first answer is", "length") == "8 7"
    assert judged("4.5\r\nIt is", "length") == "4.5"
    for text in ("8 7", "8 of 10\nIt", "Score 8\nIt"):
        with pytest.raises(CutOffError):
            judged(text, "length")


@pytest.mark.parametrize(
    ("text", "short", "calls"), [("8\nIt is", 0, 1), ("8\nIt is", 1, 2), ("It is", 0, 2)]
)
def test_scores_before_a_cut_explanation_are_paid_for_once(
    tmp_path: Path, text: str, short: int, calls: int
) -> None:
    """short: tokens that the reply lacks of the request's own limit."""
    tokens = request_of("q").sampling.max_tokens - short
    cut = Completion(text=text, finish_reason="length", completion_tokens=tokens)
    model = ScriptedLLM(lambda request: cut)
    for _ in range(2):
        ask(client(model, tmp_path / "c.sqlite"), 1, lambda row: request_of("q"), float)
    assert model.calls == calls


def test_unreadable_replies_of_an_earlier_run_are_asked_anew_on_request(tmp_path: Path) -> None:
    cache = tmp_path / "c.sqlite"
    first, second = ScriptedLLM(lambda request: "no idea"), ScriptedLLM(lambda request: "Score: 3")
    assert rows(client(first, cache), reask=1)[0].value is None and first.calls == 8
    assert rows(client(second, cache), reask=1)[0].value is None and second.calls == 0
    llm = client(second, cache)
    llm.retry_unread = True
    assert [row.value for row in rows(llm, reask=1)] == [3.0] * 4
    assert second.calls == 4
    assert [row.value for row in rows(client(first, cache), reask=1)] == [3.0] * 4 and first.calls == 8


def test_what_a_run_has_asked_anew_it_does_not_ask_a_third_time(tmp_path: Path) -> None:
    model = ScriptedLLM(lambda request: "no idea")
    rows(client(model, tmp_path / "c.sqlite"), reask=1)
    again = client(model, tmp_path / "c.sqlite")
    again.retry_unread = True
    for _ in range(2):
        assert rows(again, reask=1)[0].value is None
        assert model.calls == 8 + 8
