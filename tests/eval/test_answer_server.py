"""Answer files: forms in and out, runs that go on, answers by a server, and vLLM's part as far as it is ours."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.generate.answer_file import AnswerRun, answer_file, what_is_owed
from eval.generate.answering import row_seed
from eval.generate.answers import BAD_ROW, StoredAnswer, answer_row, parse_answer, read_answers
from eval.generate.backends import Ask, GenerateSettings, LLMGenerator, TransformersGenerator
from eval.generate.vllm import VLLMGenerator
from tacos.data.rows import Row
from tacos.errors import ConfigError, LLMError, SpendCapError, TacosError
from tacos.llm.backends.engine import release
from tacos.llm.base import Completion
from tacos.llm.client import CachedLLM, build_llm
from tacos.llm.settings import LLMSettings, VLLMEngine
from tacos.tracking import Ledger
from tacos.types import Answer, Question
from tests.llm.helpers import client
from tests.llm.server import Fault, FaultServer, always_ok

NOW = 1_700_000_000.0


class Echo:
    """A generator that repeats what it is asked; stops, as a kill would, after `lives` blocks."""

    silent = True

    def __init__(self, lives: int = 99, name: str = "m", block: int = 2, **settings: Any):
        self.settings = GenerateSettings(**settings)
        self.lives = lives
        self.name = name
        self.block = block
        self.asked: list[str] = []

    def identity(self) -> dict[str, Any]:
        return {"model": self.name, "max_new_tokens": self.settings.max_new_tokens}

    def reply(self, asks: Sequence[Ask]) -> list[Completion]:
        if self.lives == 0:
            raise KeyboardInterrupt
        self.lives -= 1
        self.asked += [ask.messages[-1].content for ask in asks]
        return [self.say(ask) for ask in asks]

    def recall(self, asks: Sequence[Ask]) -> None:
        self.recalled = [ask.messages[-1].content for ask in asks]

    def say(self, ask: Ask) -> Completion:
        last = ask.messages[-1].content
        if "refuse" in last:
            return Completion(error="content refused")
        return Completion(text="" if "silent" in last else f"{len(ask.messages)}: {last}")


def asked(n: int, turns: int = 1) -> list[Question]:
    texts = [tuple(f"question {i}, turn {t}" for t in range(1, turns + 1)) for i in range(n)]
    return [Question(id=str(i), turns=text) for i, text in enumerate(texts)]


def run(generator: Any, questions: Sequence[Question], out: Path, **options: Any) -> AnswerRun:
    return answer_file(generator, questions, out, "m", clock=lambda: NOW, **options)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# Files


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    questions = [Question(id="81", turns=("One?", "Two?")), Question(id="koala_0", turns=("Three?",))]
    ours = run(Echo(), questions, tmp_path / "ours.jsonl")
    theirs = run(Echo(), questions, tmp_path / "theirs.jsonl", style="fastchat")
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
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"question_id": 4, "mod')
    read = read_answers(path)
    kept = [(a.model, a.question_id, a.turns) for a in read.answers]
    assert kept == [("a", "1", ("x",)), ("b", "1", ("x",)), ("a", "3", ("",))]
    assert (read.duplicates, read.models) == (1, ["a", "b"])
    assert [bad.split(":")[0] for bad in read.bad] == [f"line {n}" for n in (4, 5, 6, 7, 8, 10)]


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
        run(Echo(lives=5), questions, out, style=style)  # two blocks of two turns, and one turn of the third
    assert len(rows_of(out)) == 4
    with out.open("a") as file:
        file.write('{"question_id": "6", "tur')
    second = Echo(block=3, batch_size=1)
    done = run(second, questions, out, style=style)
    assert (done.kept, done.torn, len(done.answers), done.failed) == (4, 1, 7, {})
    assert len(second.asked) == 3 * 2 and len(second.recalled) == 4 * 2
    run(Echo(), questions, whole := tmp_path / "whole.jsonl", style=style)
    assert out.read_bytes() == whole.read_bytes()
    third = Echo(lives=0)
    assert run(third, questions, out, style=style) == done.model_copy(update={"kept": 7, "torn": 0})


def test_answers_of_another_origin_are_never_mixed_in(tmp_path: Path) -> None:
    questions, out = asked(3), tmp_path / "answers.jsonl"
    run(Echo(), questions, out)
    before = out.read_bytes()
    reworded = [questions[0].model_copy(update={"turns": ("another question",)}), *questions[1:]]
    for generator, now, why in (
        (Echo(name="other"), questions, "3 of another model, other settings or another wording; line 1"),
        (Echo(max_new_tokens=5), questions, "3 of another model"),
        (Echo(temperature=0.5), questions, "3 of another model"),
        (Echo(), reworded, "1 of another model"),
        (Echo(), questions[:2], r"1 to a question that is not asked; line 3 .*'2'.*beside 2 that do"),
    ):
        with pytest.raises(TacosError, match=why):
            run(generator, now, out)
        assert out.read_bytes() == before and not generator.asked
    generator = Echo()
    done = run(generator, reworded, out, replace=True)
    assert generator.asked == ["another question"]
    assert done.dropped == {"of another model, other settings or another wording": 1}
    assert rows_of(out)[0]["turns"] == ["1: another question"]


def test_seed_counts_where_something_is_drawn(tmp_path: Path) -> None:
    questions = [
        Question(id="a", turns=("x",), category="writing"),
        Question(id="b", turns=("x",), category="math"),
    ]
    echo = Echo(temperatures={"writing": 0.7})
    one, two = (what_is_owed(echo, questions, seed) for seed in (1, 2))
    assert one["a"] != two["a"] and one["b"] == two["b"]
    assert echo.settings.draws and not Echo().settings.draws


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    for content in ("notes to keep", '{"a": 1}\n', "[1]\n", '{"torn\n'):
        out = tmp_path / "notes.jsonl"
        out.write_text(content)
        with pytest.raises(TacosError, match="1 that holds no answer"):
            run(Echo(), asked(1), out)
        assert out.read_text() == content


def test_duplicate_and_relabelled_lines(tmp_path: Path) -> None:
    questions, out = asked(2), tmp_path / "answers.jsonl"
    run(Echo(), questions, out)
    out.write_text(out.read_text() * 2)
    done = answer_file(Echo(lives=0), questions, out, "new name")
    assert (done.kept, done.duplicates) == (2, 2)
    assert [row["model"] for row in rows_of(out)] == ["new name"] * 2


def test_empty_answers_are_answers_and_refused_ones_are_owed(tmp_path: Path) -> None:
    questions = [
        Question(id="a", turns=("be silent", "and now?")),
        Question(id="b", turns=("fine", "refuse this", "never asked")),
        Question(id="c", turns=("fine",)),
    ]
    out, echo = tmp_path / "answers.jsonl", Echo(block=3)
    done = run(echo, questions, out)
    assert done.failed == {"b": "turn 2: content refused"}
    assert (done.expected, len(done.answers), done.empty) == (3, 2, 1)
    assert [row["turns"] for row in rows_of(out)] == [["", "3: and now?"], ["1: fine"]]
    assert "never asked" not in echo.asked
    again = Echo()
    assert run(again, questions, out).kept == 2
    assert again.asked == ["fine", "refuse this"]


def test_questions_that_share_an_id_and_files_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match="id '0' stands for 2 questions"):
        run(Echo(), asked(1) * 2, tmp_path / "answers.jsonl")
    (tmp_path / "file").write_text("")
    echo = Echo()
    with pytest.raises(TacosError, match="cannot write"):
        run(echo, asked(1), tmp_path / "file" / "answers.jsonl")
    assert not echo.asked
    assert run(Echo(), [], tmp_path / "none.jsonl").answers == ()


# A server


def test_a_server_is_asked_every_turn_at_the_category_s_temperature(tmp_path: Path) -> None:
    questions = [
        Question(id="1", turns=("w1", "w2"), category="writing"),
        Question(id="2", turns=("m1",), category="math"),
    ]
    settings = GenerateSettings(temperatures={"writing": 0.7}, max_new_tokens=9, top_p=0.5)
    with FaultServer() as server:
        done = run(LLMGenerator(client(server.endpoint), settings), questions, tmp_path / "a.jsonl")
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
            generator = LLMGenerator(
                client(server.endpoint, cache), GenerateSettings(temperature=temperature)
            )
            run(generator, questions, tmp_path / f"{number}.jsonl", seed=seed)
            assert server.hits == hits


def test_a_server_that_refuses_and_one_that_is_gone(tmp_path: Path) -> None:
    questions, out = asked(20), tmp_path / "a.jsonl"

    def plan(content: str, times: int) -> Fault:
        return Fault.REFUSED if "question 3," in content else Fault.OK

    with FaultServer(plan) as server:
        llm = client(server.endpoint, tmp_path / "cache", ledger := Ledger())
        done = run(LLMGenerator(llm, GenerateSettings()), questions, out)
        assert list(done.failed) == ["3"] and "content refused" in done.failed["3"]
        assert (len(done.answers), ledger.total.calls, ledger.total.failed_calls) == (19, 19, 1)
        server.plan = always_ok
        again = run(LLMGenerator(llm, GenerateSettings()), questions, out)
        assert (again.kept, len(again.answers), server.hits) == (19, 20, 21)
        endpoint = server.endpoint
    assert [row["question_id"] for row in rows_of(out)] == [str(i) for i in range(20)]
    with pytest.raises(LLMError, match="no server answers"):
        run(LLMGenerator(client(endpoint), GenerateSettings()), asked(21), out)
    assert len(rows_of(out)) == 20


def test_the_cap_counts_what_an_earlier_run_paid_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    questions, out, settings = asked(30), tmp_path / "a.jsonl", GenerateSettings(max_new_tokens=20)

    def capped(cap: int) -> LLMGenerator:
        llm = client(server.endpoint, tmp_path / "cache", concurrency=1, max_tokens_total=cap)
        return LLMGenerator(llm, settings, block=4)

    with FaultServer() as server:
        for _ in range(2):
            with pytest.raises(SpendCapError, match="run again"):
                run(capped(220), questions, out)
            # 15 tokens a call; the next may take 12 or so for the prompt and 20 for the reply
            assert (len(rows_of(out)), server.hits) == (12, 13)
        done = run(generator := capped(10_000), questions, out)
        assert (done.kept, len(done.answers), server.hits) == (12, 30, 30)  # nothing was asked twice
    assert isinstance(generator.llm, CachedLLM)
    usage = generator.llm.ledger.total
    assert (usage.calls, usage.cached_calls) == (17, 13)


PROGRAM = """
import sys
from pathlib import Path
from eval.generate.answer_file import answer_file
from eval.generate.backends import GenerateSettings, LLMGenerator
from eval.questions import read_questions
from tacos.llm.settings import LLMSettings
from tacos.llm.client import CachedLLM, build_llm
from tacos.llm.backends.engine import release
from tacos.tracking import Ledger

folder, endpoint = Path(sys.argv[1]), sys.argv[2]
settings = LLMSettings(model="m", endpoint=endpoint, concurrency=4)
llm = build_llm(settings, Ledger(), folder / "cache.sqlite")
generator = LLMGenerator(llm, GenerateSettings(), block=8)
answer_file(generator, read_questions(folder / "questions.jsonl"), folder / "answers.jsonl", "m")
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
        generator = LLMGenerator(llm, GenerateSettings(temperatures={"writing": 0.7, "roleplay": 0.7}))
        done = run(generator, questions, tmp_path / "a.jsonl", style="fastchat")
    assert [len(a.turns) for a in done.answers] == [2] * 80 and not done.failed
    assert sum(body["temperature"] == 0.7 for body in server.bodies) == 40
    assert [row["question_id"] for row in rows_of(tmp_path / "a.jsonl")] == list(range(81, 161))


# A model in this process


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    from tests.llm.tiny_llama import build

    return str(build(tmp_path_factory.mktemp("tiny") / "model"))


def test_a_model_trained_again_is_another_model(model_dir: str, tmp_path: Path) -> None:
    from tests.llm.tiny_llama import build

    settings = GenerateSettings(max_new_tokens=4, batch_size=2, template="plain")
    questions, out = asked(5, turns=2), tmp_path / "a.jsonl"
    done = run(TransformersGenerator(model_dir, settings, "cpu"), questions, out)
    wider = settings.model_copy(update={"batch_size": 5})
    moved = build(tmp_path / "moved")
    again = run(TransformersGenerator(str(moved), wider, "cpu"), questions, out)
    assert (len(done.answers), again.kept, again.answers) == (5, 5, done.answers)
    build(moved, seed=1)
    with pytest.raises(TacosError, match="5 of another model"):
        run(TransformersGenerator(str(moved), wider, "cpu"), questions, out)
    for change in ({"template": "vicuna_v1.1"}, {"max_length": 100}, {"dtype": "float32"}):
        with pytest.raises(TacosError, match="5 of another model"):
            changed = settings.model_copy(update=change)
            run(TransformersGenerator(model_dir, changed, "cpu"), questions, out)


class FakeVLLM:
    """Stands in for the module vllm, and records what it is asked; it proves our side only, not vLLM's."""

    def __init__(self, context: int = 256):
        self.context = context
        self.started: list[dict[str, Any]] = []
        self.calls: list[tuple[list[Any], list[Any]]] = []

    def SamplingParams(self, **options: Any) -> dict[str, Any]:  # noqa: N802
        return options

    def LLM(self, **options: Any) -> Any:  # noqa: N802
        self.started.append(options)
        core = SimpleNamespace(shutdown=lambda: None)
        engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=self.context), engine_core=core)
        return SimpleNamespace(llm_engine=engine, generate=self.generate)

    def generate(
        self, prompts: list[Any], sampling: list[Any], use_tqdm: bool, lora_request: Any
    ) -> list[Any]:
        assert lora_request is None
        self.calls.append((prompts, sampling))
        made = []
        for ids in [prompt["prompt_token_ids"] for prompt in prompts]:
            said = SimpleNamespace(text=f" {len(ids)} tokens ", token_ids=[1, 2])
            made.append(SimpleNamespace(outputs=[said], prompt_token_ids=ids))
        return made


@pytest.fixture(autouse=True)
def no_engine_of_another_test() -> Iterator[None]:
    yield
    release()


def test_vllm_is_asked_with_our_template_stops_and_seeds(
    model_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eval.generate.answering import conversation
    from tacos.models.chat import end_token, prompt_ids
    from tacos.models.local import load_tokenizer

    monkeypatch.setitem(sys.modules, "vllm", fake := FakeVLLM())
    settings = GenerateSettings(
        temperatures={"writing": 0.7}, top_p=0.9, max_new_tokens=8, template="plain", dtype="bfloat16"
    )
    engine = VLLMEngine(tensor_parallel_size=2, max_model_len=256, enforce_eager=True)
    questions = [
        Question(id="a", turns=("the fox", "the dog"), category="writing"),
        Question(id="b", turns=("fox",)),
    ]
    done = run(VLLMGenerator(model_dir, settings, engine), questions, tmp_path / "a.jsonl")
    tokenizer = load_tokenizer(model_dir, "plain")
    (first, how), (second, _) = fake.calls
    wanted = [prompt_ids(tokenizer, conversation(q, [])) for q in (questions[1], questions[0])]
    assert [p["prompt_token_ids"] for p in first] == wanted  # by temperature
    reply = f"{len(wanted[1])} tokens"
    assert second[0]["prompt_token_ids"] == prompt_ids(tokenizer, conversation(questions[0], [reply]))
    assert done.answers[0].turns[0] == reply
    stops = {"stop_token_ids": [end_token(tokenizer)], "max_tokens": 8}
    assert how[0] == {"temperature": 0.0, "top_p": 1.0, "seed": None, **stops}
    assert how[1] == {"temperature": 0.7, "top_p": 0.9, "seed": row_seed(0, "a", 0) % 2**63, **stops}
    (started,) = fake.started  # for both turns
    options = {"tensor_parallel_size": 2, "max_model_len": 256, "enforce_eager": True, "dtype": "bfloat16"}
    assert options.items() <= started.items() and started["model"] == model_dir
    assert "max_num_seqs" not in started and "enable_lora" not in started


def test_vllm_never_gets_a_prompt_that_fills_its_context(
    model_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", fake := FakeVLLM(context=64))
    generator = VLLMGenerator(model_dir, GenerateSettings(max_new_tokens=8, template="plain"))
    run(generator, [Question(id="a", turns=("jumps " * 100,))], tmp_path / "a.jsonl")
    assert len(fake.calls[0][0][0]["prompt_token_ids"]) == 63
    assert "1 of 1 prompts are over 63 tokens" in caplog.text
    assert "1 of 1 replies may end before max_new_tokens" in caplog.text


def test_vllm_that_is_missing_or_does_not_start(model_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Ask(messages=(), temperature=0.0, seed=0)
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"needs the package vllm .*install 'tacos\[vllm\]'"):
        VLLMGenerator(model_dir, GenerateSettings(template="plain")).reply([ask])

    def no_gpu(**options: Any) -> Any:
        raise RuntimeError("Device string must not be empty\nmore")

    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=no_gpu))
    with pytest.raises(TacosError, match=r"vLLM does not start with .*: Device string must not be empty"):
        VLLMGenerator(model_dir, GenerateSettings(template="plain")).reply([ask])
