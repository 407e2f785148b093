"""The reply cache: what names a question, what survives, what is set aside."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.errors import TacosError
from tacos.llm.base import Completion, Request, Sampling
from tacos.llm.cache import ReplyCache
from tacos.llm.request_key import request_key
from tacos.store.fingerprint import plain
from tacos.types import Message

from .helpers import ask


def key(i: int) -> bytes:
    return request_key("m", ask(f"question {i}"))


def fill(path: Path, count: int) -> None:
    cache = ReplyCache(path)
    for i in range(count):
        cache.put(key(i), Completion(text=f"answer {i} é", prompt_tokens=i, completion_tokens=2))
    cache.close()


@pytest.mark.parametrize(
    "other",
    [
        ask("other"),
        ask("q", repeat=1),
        ask("q", json_schema={"type": "object"}),
        ask("q", sampling=Sampling(temperature=0.5)),
        ask("q", sampling=Sampling(max_tokens=5)),
        ask("q", top_logprobs=5),
        Request(messages=(Message(role="system", content="q"),)),
    ],
)
def test_the_key_covers_what_makes_the_answer(other: Request) -> None:
    assert request_key("m", ask("q"), structured=True) != request_key("m", other, structured=True)
    assert request_key("m", ask("q")) == request_key("m", ask("q"))
    assert request_key("m", ask("q")) != request_key("n", ask("q"))


def test_a_schema_that_is_not_sent_is_no_part_of_the_key() -> None:
    assert request_key("m", ask("q")) == request_key("m", ask("q", json_schema={"type": "object"}))


def test_replies_survive_closing(tmp_path: Path) -> None:
    fill(tmp_path / "c.sqlite", 1200)  # more than one lookup's worth
    found = ReplyCache(tmp_path / "c.sqlite").get([key(i) for i in range(1300)])
    assert len(found) == 1200
    assert found[key(7)] == Completion(text="answer 7 é", prompt_tokens=7, completion_tokens=2, cached=True)


def test_keys_of_replies_paid_before_stay() -> None:
    assert key(0).hex()[:16] == "b600e87b42253f9e"


GOLDEN = {
    "a4caa02ef9db40cc148f24af25f22879b1149d02e5de841e9d2bd07fb5466b5b": ask("q"),
    "9ef88db0af98c298c3a775fc8310028e2945bb188c919e98409009bf9d7f7595": ask(
        'naïve \u2028 \U0001f600 "x" \\ \n\x00', repeat=3
    ),
    "42af8c05b668130baf01b1419ad529803fb90224b4720e67ef00d8b22cfd1f6a": ask(
        "q", sampling=Sampling(temperature=1e-05, top_p=0.1, max_tokens=7), top_logprobs=5
    ),
    "3a6cd39229c12488248c2d700d18a9f00eb52ca91262ab0247a68e05c350c6b4": ask(
        "q", json_schema={"b": [1.5, True, None], "a": {"é": "\ud800"}}
    ),
}


@pytest.mark.parametrize("digest", GOLDEN)
def test_keys_are_what_they_always_were(digest: str) -> None:
    assert request_key("some/model", GOLDEN[digest], structured=True).hex() == digest


def slow_key(model: str, request: Request, structured: bool) -> bytes:
    """What a key is, said plainly: the hash of canonical JSON."""
    schema = request.json_schema if structured else None
    parts = [model, request.messages, request.sampling, schema, request.repeat]
    parts += [] if request.top_logprobs is None else [request.top_logprobs]
    text = json.dumps(plain(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


any_text = st.text(st.characters(codec=None, categories=None))  # lone surrogates too
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
any_request = st.builds(
    Request,
    messages=st.lists(
        st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=any_text),
        max_size=3,
    ).map(tuple),
    sampling=st.builds(
        Sampling,
        temperature=st.floats(0, allow_nan=False, allow_infinity=True),
        top_p=st.floats(0, 1, exclude_min=True),
        max_tokens=st.integers(1, 10**7),
    ),
    json_schema=st.none() | st.dictionaries(any_text, any_json, max_size=3),
    repeat=st.integers(-(10**6), 10**20),
    top_logprobs=st.none() | st.integers(1, 20),
)


@settings(max_examples=200)
@given(any_text, any_request, st.booleans())
def test_the_fast_key_is_the_slow_one(model: str, request_: Request, structured: bool) -> None:
    assert request_key(model, request_, structured) == slow_key(model, request_, structured)


def test_log_probabilities_survive_closing(tmp_path: Path) -> None:
    cache, given = ReplyCache(tmp_path / "c.sqlite"), {"A": -0.25, " B": -1.5, "\u2581": -float("inf")}
    cache.put(key(0), Completion(text="A", logprobs=given))
    cache.close()
    assert ReplyCache(tmp_path / "c.sqlite").get([key(0)])[key(0)].logprobs == given


def test_the_servers_word_for_the_end_survives_closing(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "c.sqlite")
    cache.put(key(0), Completion(text="A", finish_reason="stop"))
    cache.put(key(1), Completion(text="A"))
    cache.close()
    found = ReplyCache(tmp_path / "c.sqlite").get([key(0), key(1)])
    assert [found[key(i)].finish_reason for i in (0, 1)] == ["stop", None]


def test_an_empty_reply_of_an_older_version_is_not_found(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "c.sqlite")
    cache.put(key(0), Completion(text=" \n"))
    assert cache.get([key(0)]) == {}


def test_a_dropped_reply_is_gone(tmp_path: Path) -> None:
    fill(tmp_path / "c.sqlite", 3)
    cache = ReplyCache(tmp_path / "c.sqlite")
    cache.drop([key(1), key(7)])
    assert set(cache.get([key(i) for i in range(3)])) == {key(0), key(2)}


def test_a_file_from_before_log_probabilities_is_read_and_written(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "c.sqlite") as old:
        old.execute(
            "CREATE TABLE replies (key BLOB NOT NULL, text TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, "
            "completion_tokens INTEGER NOT NULL, created REAL NOT NULL)"
        )
        old.execute("INSERT INTO replies VALUES (?, 'old', 1, 2, 0.0)", (key(0),))
    cache = ReplyCache(tmp_path / "c.sqlite")
    cache.put(key(1), Completion(text="new", logprobs={"A": -1.0}))
    found = ReplyCache(tmp_path / "c.sqlite").get([key(0), key(1)])
    assert (found[key(0)].text, found[key(0)].logprobs, found[key(1)].logprobs) == ("old", None, {"A": -1.0})


def test_a_reply_is_on_disk_as_soon_as_it_is_put(tmp_path: Path) -> None:
    ReplyCache(tmp_path / "c.sqlite").put(key(0), Completion(text="x"))
    with sqlite3.connect(tmp_path / "c.sqlite") as other:
        assert other.execute("SELECT count(*) FROM replies").fetchone() == (1,)


def test_errors_are_never_cached(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        ReplyCache(tmp_path / "c.sqlite").put(key(0), Completion(error="HTTP 500"))


def test_many_replies_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "c.sqlite")
    cache.put_many((key(i), Completion(text=f"answer {i}")) for i in range(1000))
    assert len(cache.get([key(i) for i in range(1000)])) == 1000
    with pytest.raises(ValueError, match="never cached"):
        cache.put_many([(key(2000), Completion(text="x")), (key(2001), Completion(error="HTTP 500"))])
    with pytest.raises(TypeError):
        cache.put_many([(key(2000), Completion(text="x")), (object(), Completion(text="y"))])  # type: ignore[list-item]
    assert not cache.get([key(2000)])
    cache.put(key(2000), Completion(text="x"))  # the file is not left locked
    cache.put_many([])


WRITE = """
import sys
from pathlib import Path
from tacos.llm.base import Completion
from tacos.llm.cache import ReplyCache

cache, name = ReplyCache(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for i in range(0, 600, 3):
    cache.put(f"{name}{i}".encode(), Completion(text="x" * 500))
    cache.put_many([(f"{name}{j}".encode(), Completion(text="x" * 500)) for j in (i + 1, i + 2)])
    assert len(cache.get([f"both{i}".encode(), f"{name}{i}".encode()])) >= 1
    cache.put(f"both{i}".encode(), Completion(text="x"))
"""


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path, pipe = tmp_path / "c.sqlite", subprocess.PIPE
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(path), name], stdin=pipe, stdout=pipe, text=True)
        for name in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    keys = [f"{name}{i}".encode() for name in ("one", "two") for i in range(600)]
    keys += [f"both{i}".encode() for i in range(0, 600, 3)]
    assert len(ReplyCache(path).get(keys)) == len(keys) == 1400


def test_two_processes_may_share_the_file(tmp_path: Path) -> None:
    first, second = ReplyCache(tmp_path / "c.sqlite"), ReplyCache(tmp_path / "c.sqlite")
    first.put(key(0), Completion(text="a"))
    second.put(key(0), Completion(text="a"))
    assert second.get([key(0)])[key(0)].text == "a"


@pytest.mark.parametrize("damage", ["garbage", "truncated", "middle"])
def test_a_corrupt_file_is_set_aside(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.sqlite"
    fill(path, 2000)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(
        {
            "garbage": b"not a database" * 100,
            "truncated": whole[:half],
            "middle": whole[:4096] + b"\xff" * half,
        }[damage]
    )
    cache = ReplyCache(path)
    cache.get([key(i) for i in range(2000)])
    cache.put(key(1), Completion(text="again"))
    assert cache.get([key(1)])[key(1)].text == "again"
    assert [p for p in tmp_path.iterdir() if ".corrupt-" in p.name and not p.name.endswith(("-wal", "-shm"))]
    assert "is corrupt" in caplog.text and "replies could be saved" in caplog.text


def test_pending_replies_outlive_the_corruption(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    fill(path, 500)
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40_000)
    cache = ReplyCache(path)
    cache.put(key(9000), Completion(text="paid"))
    cache.get([key(i) for i in range(500)])
    assert ReplyCache(path).get([key(9000)])[key(9000)].text == "paid"


def test_damaged_text_is_a_miss_and_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    fill(path, 2)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE replies SET text = CAST(x'ff' AS TEXT) WHERE prompt_tokens = 1")
    cache = ReplyCache(path)
    assert list(cache.get([key(0), key(1)])) == [key(0)]
    cache.put(key(1), Completion(text="again"))
    assert cache.get([key(1)])[key(1)].text == "again"


def test_a_place_that_takes_no_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TacosError, match=r"cannot write .*file"):
        ReplyCache(tmp_path / "file" / "c.sqlite")


def test_a_full_disk(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "c.sqlite")
    assert cache._db is not None
    cache._db.execute("PRAGMA max_page_count = 8")  # SQLite then reports what it reports for a full disk
    with pytest.raises(TacosError, match=r"cannot write .*c\.sqlite.*full"):
        cache.put(key(0), Completion(text="x" * 100_000))
