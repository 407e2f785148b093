"""Answer files: forms in and out, runs that go on, answers by a server, and vLLM's part as far as it is ours."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.answering.answer_file import AnswerRun, answer_file, what_is_owed
from tacos.answering.answers import BAD_ROW, StoredAnswer, answer_row, parse_answer, read_answers
from tacos.answering.candidate import Candidate, GenerateSettings, served
from tacos.answering.faults import AnswerFaults
from tacos.data.rows import Row
from tacos.errors import LLMError, SpendCapError, TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Completion, Request
from tacos.llm.build import build_llm
from tacos.llm.client import CachedLLM
from tacos.llm.settings import LLMSettings
from tacos.types import Answer, Question
from tacos.usage import Ledger
from tests.llm.helpers import client
from tests.llm.server import Fault, FaultServer, always_ok

NOW = 1_700_000_000.0


class Echo(ScriptedLLM):
    """Repeats what it is asked; stops, as a kill would, after `lives` replies. recalled: what was said to be known."""

    def __init__(self, lives: int = 99):
        super().__init__(self.say)
        self.lives = lives
        self.recalled: list[str] = []

    def known(self, requests: Sequence[Request]) -> list[bool]:
        self.recalled += [request.messages[-1].content for request in requests]
        return [False] * len(requests)

    def say(self, request: Request) -> str | Exception:
        if self.lives == 0:
            raise KeyboardInterrupt
        self.lives -= 1
        last = request.messages[-1].content
        if "refuse" in last:
            return ValueError("content refused")
        return "" if "silent" in last else f"{len(request.messages)}: {last}"


def echo(lives: int = 99, name: str = "m", block: int = 2, **settings: Any) -> Candidate:
    how = GenerateSettings(**settings)
    identity = {"model": name, "max_new_tokens": how.max_new_tokens}
    return Candidate(Echo(lives), how, identity, block, quiet=True)


def echo_of(candidate: Candidate) -> Echo:
    assert isinstance(candidate.llm, Echo)
    return candidate.llm


def asked_of(candidate: Candidate) -> list[str]:
    return [request.messages[-1].content for request in echo_of(candidate).requests]


def asked(n: int, turns: int = 1) -> list[Question]:
    texts = [tuple(f"question {i}, turn {t}" for t in range(1, turns + 1)) for i in range(n)]
    return [Question(id=str(i), turns=text) for i, text in enumerate(texts)]


def run(candidate: Any, questions: Sequence[Question], out: Path, **options: Any) -> AnswerRun:
    return answer_file(candidate, questions, out, "m", clock=lambda: NOW, **options)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# Files


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    questions = [Question(id="81", turns=("One?", "Two?")), Question(id="koala_0", turns=("Three?",))]
    ours = run(echo(), questions, tmp_path / "ours.jsonl")
    theirs = run(echo(), questions, tmp_path / "theirs.jsonl", style="fastchat")
    assert ours == theirs
    assert [a.turns for a in ours.answers] == [("1: One?", "3: Two?"), ("1: Three?",)]
    for name in ("ours", "theirs"):
        assert read_answers(tmp_path / f"{name}.jsonl").answers == ours.answers
    first, second = rows_of(tmp_path / "theirs.jsonl")
    assert first.pop("answer_id") == rows_of(tmp_path / "ours.jsonl")[0]["fingerprint"]
    assert first == {
        "question_id": 81,
        "model_id": "m",
        "choices": [{"index": 0, "turns": ["1: One?", "3: Two?"]}],
        "tstamp": NOW,
    }
    assert second["question_id"] == "koala_0"


def test_a_file_with_everything_wrong_in_it_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    good = {"question_id": 1, "model": "a", "turns": ["x"]}
    lines = [
        good,
        good | {"turns": ["second answer"]},
        good | {"model": "b"},
        {"question_id": 2, "model_id": "a", "choices": []},
        {"question_id": 2, "model": "a", "turns": "text"},
        {"question_id": None, "model": "a", "turns": []},
        {"question_id": 2, "turns": []},
        ["a", "list"],
        good | {"question_id": 3, "turns": [""], "tstamp": float("nan")},
        good | {"question_id": 4, "turns": ["x"], "tstamp": 10**400},
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"question_id": 4, "mod')
    read = read_answers(path)
    kept = [(a.model, a.question_id, a.turns) for a in read.answers]
    assert kept == [("a", "1", ("x",)), ("b", "1", ("x",)), ("a", "3", ("",)), ("a", "4", ("x",))]
    assert (read.duplicates, read.models) == (1, ["a", "b"])
    assert [bad.split(":")[0] for bad in read.bad] == [f"line {n}" for n in (4, 5, 6, 7, 8, 11)]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["turns"]), inner),
)
KEYS = ("question_id", "model", "model_id", "turns", "choices", "tstamp", "answer_id", "fingerprint")


@given(st.dictionaries(st.sampled_from(KEYS), anything) | anything)
def test_no_row_crashes_the_reader(value: Any) -> None:
    with contextlib.suppress(BAD_ROW):
        assert isinstance(parse_answer(Row(1, value)), StoredAnswer)


@given(st.text() | st.integers().map(str), st.lists(st.text()), st.sampled_from(["answers", "fastchat"]))
def test_a_row_comes_back_as_it_went(id_: str, turns: list[str], style: Any) -> None:
    stored = StoredAnswer(answer=Answer(question_id=id_, model="m", turns=tuple(turns)), fingerprint="f")
    value = json.loads(json.dumps(answer_row(stored, style)))
    assert parse_answer(Row(1, value)) == stored


# Going on


@pytest.mark.parametrize("style", ["answers", "fastchat"])
def test_a_killed_run_goes_on(tmp_path: Path, style: Any) -> None:
    questions, out = asked(7, turns=2), tmp_path / "new" / "answers.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(echo(lives=10), questions, out, style=style)  # two blocks of two turns, and one turn of the third
    assert len(rows_of(out)) == 4
    with out.open("a") as file:
        file.write('{"question_id": "6", "tur')
    second = echo(block=3, batch_size=1)
    done = run(second, questions, out, style=style)
    assert (done.kept, done.torn, len(done.answers), done.failed) == (4, 1, 7, {})
    assert len(asked_of(second)) == 3 * 2 and len(echo_of(second).recalled) == 4 * 2
    run(echo(), questions, whole := tmp_path / "whole.jsonl", style=style)
    assert out.read_bytes() == whole.read_bytes()
    third = echo(lives=0)
    assert run(third, questions, out, style=style) == done.model_copy(update={"kept": 7, "torn": 0})


def test_answers_of_another_origin_are_never_mixed_in(tmp_path: Path) -> None:
    questions, out = asked(3), tmp_path / "answers.jsonl"
    run(echo(), questions, out)
    before = out.read_bytes()
    reworded = [questions[0].model_copy(update={"turns": ("another question",)}), *questions[1:]]
    for candidate, now, why in (
        (echo(name="other"), questions, "3 of another model, other settings or another wording; line 1"),
        (echo(max_new_tokens=5), questions, "3 of another model"),
        (echo(temperature=0.5), questions, "3 of another model"),
        (echo(), reworded, "1 of another model"),
        (echo(), questions[:2], r"1 to a question that is not asked; line 3 .*'2'.*beside 2 that do"),
    ):
        with pytest.raises(TacosError, match=why):
            run(candidate, now, out)
        assert out.read_bytes() == before and not asked_of(candidate)
    candidate = echo()
    done = run(candidate, reworded, out, replace=True)
    assert asked_of(candidate) == ["another question"]
    assert done.dropped == {"of another model, other settings or another wording": 1}
    assert rows_of(out)[0]["turns"] == ["1: another question"]


def test_seed_counts_where_something_is_drawn(tmp_path: Path) -> None:
    questions = [
        Question(id="a", turns=("x",), category="writing"),
        Question(id="b", turns=("x",), category="math"),
    ]
    warm = echo(temperatures={"writing": 0.7})
    one, two = (what_is_owed(warm, questions, seed) for seed in (1, 2))
    assert one["a"] != two["a"] and one["b"] == two["b"]
    assert warm.settings.draws and not echo().settings.draws


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    for content in ("notes to keep", '{"a": 1}\n', "[1]\n", '{"torn\n'):
        out = tmp_path / "notes.jsonl"
        out.write_text(content)
        with pytest.raises(TacosError, match="1 that holds no answer"):
            run(echo(), asked(1), out)
        assert out.read_text() == content


def test_duplicate_and_relabelled_lines(tmp_path: Path) -> None:
    questions, out = asked(2), tmp_path / "answers.jsonl"
    run(echo(), questions, out)
    out.write_text(out.read_text() * 2)
    done = answer_file(echo(lives=0), questions, out, "new name")
    assert (done.kept, done.duplicates) == (2, 2)
    assert [row["model"] for row in rows_of(out)] == ["new name"] * 2


def test_empty_answers_are_answers_and_refused_ones_are_owed(tmp_path: Path) -> None:
    questions = [
        Question(id="a", turns=("be silent", "and now?")),
        Question(id="b", turns=("fine", "refuse this", "never asked")),
        Question(id="c", turns=("fine",)),
    ]
    out, first = tmp_path / "answers.jsonl", echo(block=3)
    done = run(first, questions, out)
    assert done.failed == {"b": "turn 2: ValueError: content refused"}
    assert (done.expected, len(done.answers), done.empty) == (3, 2, 1)
    assert [row["turns"] for row in rows_of(out)] == [["", "3: and now?"], ["1: fine"]]
    assert "never asked" not in asked_of(first)
    again = echo()
    assert run(again, questions, out).kept == 2
    assert asked_of(again) == ["fine", "refuse this"]


def test_questions_that_share_an_id_and_files_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match="id '0' stands for 2 questions"):
        run(echo(), asked(1) * 2, tmp_path / "answers.jsonl")
    (tmp_path / "file").write_text("")
    unasked = echo()
    with pytest.raises(TacosError, match="cannot write"):
        run(unasked, asked(1), tmp_path / "file" / "answers.jsonl")
    assert not asked_of(unasked)
    assert run(echo(), [], tmp_path / "none.jsonl").answers == ()


# A server


def test_a_server_is_asked_every_turn_at_the_category_s_temperature(tmp_path: Path) -> None:
    questions = [
        Question(id="1", turns=("w1", "w2"), category="writing"),
        Question(id="2", turns=("m1",), category="math"),
    ]
    settings = GenerateSettings(temperatures={"writing": 0.7}, max_new_tokens=9, top_p=0.5)
    with FaultServer() as server:
        done = run(served(client(server.endpoint), settings), questions, tmp_path / "a.jsonl")
    assert [a.turns for a in done.answers] == [("echo: w1", "echo: w2"), ("echo: m1",)]
    sent = {body["messages"][-1]["content"]: body for body in server.bodies}
    assert {k: v["temperature"] for k, v in sent.items()} == {"w1": 0.7, "w2": 0.7, "m1": 0.0}
    assert [m["content"] for m in sent["w2"]["messages"]] == ["w1", "echo: w1", "w2"]
    assert all((body["max_tokens"], body["top_p"]) == (9, 0.5) for body in server.bodies)


def test_another_seed_is_another_draw_and_the_same_seed_is_cached(tmp_path: Path) -> None:
    questions, cache = [Question(id=id_, turns=("same",)) for id_ in "ab"], tmp_path / "cache"
    with FaultServer() as server:
        for number, (temperature, seed, hits) in enumerate(
            [(0.0, 0, 1), (0.0, 1, 1), (1.0, 0, 3), (1.0, 0, 3), (1.0, 1, 5)]
        ):
            candidate = served(client(server.endpoint, cache), GenerateSettings(temperature=temperature))
            run(candidate, questions, tmp_path / f"{number}.jsonl", seed=seed)
            assert server.hits == hits


def test_a_server_that_refuses_and_one_that_is_gone(tmp_path: Path) -> None:
    questions, out = asked(20), tmp_path / "a.jsonl"

    def plan(content: str, times: int) -> Fault:
        return Fault.REFUSED if "question 3," in content else Fault.OK

    with FaultServer(plan) as server:
        llm = client(server.endpoint, tmp_path / "cache", ledger := Ledger())
        done = run(served(llm, GenerateSettings()), questions, out)
        assert list(done.failed) == ["3"] and "content refused" in done.failed["3"]
        assert (len(done.answers), ledger.total.calls, ledger.total.failed_calls) == (19, 19, 1)
        server.plan = always_ok
        again = run(served(llm, GenerateSettings()), questions, out)
        assert (again.kept, len(again.answers), server.hits) == (19, 20, 21)
        endpoint = server.endpoint
    assert [row["question_id"] for row in rows_of(out)] == [str(i) for i in range(20)]
    with pytest.raises(LLMError, match="no server answers"):
        run(served(client(endpoint), GenerateSettings()), asked(21), out)
    assert len(rows_of(out)) == 20


def test_the_cap_counts_what_an_earlier_run_paid_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    questions, out, settings = asked(30), tmp_path / "a.jsonl", GenerateSettings(max_new_tokens=20)

    def capped(cap: int) -> Candidate:
        llm = client(server.endpoint, tmp_path / "cache", concurrency=1, max_tokens_total=cap)
        return served(llm, settings, block=4)

    with FaultServer() as server:
        for _ in range(2):
            with pytest.raises(SpendCapError, match="run again"):
                run(capped(220), questions, out)
            # 15 tokens a call; the next may take 12 or so for the prompt and 20 for the reply
            assert (len(rows_of(out)), server.hits) == (12, 13)
        done = run(candidate := capped(10_000), questions, out)
        assert (done.kept, len(done.answers), server.hits) == (12, 30, 30)  # nothing was asked twice
    assert isinstance(candidate.llm, CachedLLM)
    usage = candidate.llm.ledger.total
    assert (usage.calls, usage.cached_calls) == (17, 13)


PROGRAM = """
import sys
from pathlib import Path
from tacos.answering.answer_file import answer_file
from tacos.answering.candidate import GenerateSettings, served
from eval.questions import read_questions
from tacos.llm.settings import LLMSettings
from tacos.llm.build import build_llm
from tacos.llm.client import CachedLLM
from tacos.llm.backends.engine import release
from tacos.usage import Ledger

folder, endpoint = Path(sys.argv[1]), sys.argv[2]
settings = LLMSettings(model="m", endpoint=endpoint, concurrency=4)
llm = build_llm(settings, Ledger(), folder / "cache.sqlite")
candidate = served(llm, GenerateSettings(), block=8)
answer_file(candidate, read_questions(folder / "questions.jsonl"), folder / "answers.jsonl", "m")
"""


def test_sigkill_while_a_server_answers(tmp_path: Path) -> None:
    lines = [{"question_id": i, "turns": [f"first {i}", f"second {i}"]} for i in range(40)]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    half_way = threading.Event()
    with FaultServer(delay_s=0.01) as server:
        server.on_hit = lambda count: half_way.set() if count >= 45 else None
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), server.endpoint]
        first = subprocess.Popen(command)
        assert half_way.wait(60)
        first.kill()
        first.wait()
        assert 8 <= len(rows_of(tmp_path / "answers.jsonl")) < 40
        subprocess.run(command, check=True)
        twice = [content for content, count in server.asked.items() if count > 1]
        assert len(twice) <= 4  # in flight when it was killed: never answered to us
    answers = read_answers(tmp_path / "answers.jsonl").answers
    assert [a.turns for a in answers] == [(f"echo: first {i}", f"echo: second {i}") for i in range(40)]


@pytest.mark.slow
def test_every_question_of_mt_bench_through_a_server(shared: Path, tmp_path: Path) -> None:
    from eval.questions import read_questions

    questions = read_questions(shared / "assets" / "mt_bench" / "question.jsonl")
    with FaultServer() as server:
        settings = LLMSettings(model="m", endpoint=server.endpoint)
        llm = build_llm(settings, Ledger(), tmp_path / "cache.sqlite")
        candidate = served(llm, GenerateSettings(temperatures={"writing": 0.7, "roleplay": 0.7}))
        done = run(candidate, questions, tmp_path / "a.jsonl", style="fastchat")
    assert [len(a.turns) for a in done.answers] == [2] * 80 and not done.failed
    assert sum(body["temperature"] == 0.7 for body in server.bodies) == 40
    assert [row["question_id"] for row in rows_of(tmp_path / "a.jsonl")] == list(range(81, 161))


@pytest.mark.parametrize("style", ["answers", "fastchat"])
def test_why_a_turn_ended_and_what_it_lost_stay_with_the_answer(tmp_path: Path, style: Any) -> None:
    said = iter(
        [Completion(text="<think>Hm</think>Hawaii is", finish_reason="length"), Completion(text="Yes.")]
    )
    candidate = served(ScriptedLLM(lambda request: next(said)), GenerateSettings())
    made = run(candidate, asked(1, turns=2), tmp_path / "a.jsonl", style=style)
    assert made.faults == AnswerFaults(turns=2, cut=1, faulty=1, reasoned=1)
    (back,) = read_answers(tmp_path / "a.jsonl").answers
    assert back == made.answers[0] and back.finish_reasons == ("length", None) and back.reasoned == 1
    assert run(candidate, asked(1, turns=2), tmp_path / "a.jsonl", style=style).faults == made.faults
