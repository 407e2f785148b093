"""The reply cache: what names a question, what survives, what is set aside."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tacos.errors import TacosError
from tacos.llm.base import Completion, Request, Sampling
from tacos.llm.cache import ReplyCache, request_key
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


def test_a_reply_is_on_disk_as_soon_as_it_is_put(tmp_path: Path) -> None:
    ReplyCache(tmp_path / "c.sqlite").put(key(0), Completion(text="x"))
    with sqlite3.connect(tmp_path / "c.sqlite") as other:
        assert other.execute("SELECT count(*) FROM replies").fetchone() == (1,)


def test_errors_are_never_cached(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        ReplyCache(tmp_path / "c.sqlite").put(key(0), Completion(error="HTTP 500"))


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
    assert "is corrupt" in caplog.text and "starting an empty one" in caplog.text


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
