"""A damaged reply cache: what can be read is kept, what is lost is told with its price, and nothing is paid unasked."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tacos.errors import TacosError
from tacos.llm.base import Completion
from tacos.llm.bill import Bill, Tokens
from tacos.llm.cache import LOST_SHARE, ReplyCache, check_losses
from tacos.llm.client import complete
from tacos.llm.salvage import PAGE, salvage
from tacos.llm.settings import LLMSettings

from .helpers import asks, client
from .server import FaultServer

COUNT = 3000
PRICED = LLMSettings(model="m", price_per_million_input=1.0, price_per_million_output=2.0)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def text(number: int) -> str:
    """Every tenth is so long that it goes on in other pages."""
    return f"reply {number} é " * (900 if number % 10 == 0 else 8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "c.sqlite"
    cache = ReplyCache(path)
    for number in range(COUNT):
        cache.put(key(number), Completion(text=text(number), prompt_tokens=100, completion_tokens=50))
    cache.close()
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "c.sqlite"))


def kept(path: Path) -> int:
    """How many replies come back, every one as it was."""
    found = ReplyCache(path).get([key(number) for number in range(COUNT)])
    assert all(reply.text == text(int.from_bytes(name, "big")) for name, reply in found.items())
    return len(found)


def overwrite(path: Path, first: int, count: int) -> None:
    """Pages from `first` on, from 1."""
    with path.open("r+b") as handle:
        handle.seek((first - 1) * PAGE)
        handle.write(b"\xff" * PAGE * count)


def test_a_whole_file_is_read_to_the_last_reply(path: Path) -> None:
    found = salvage(path)
    assert (len(found.rows), found.total) == (COUNT, COUNT)


@pytest.mark.parametrize(
    ("page", "least"), [(1, COUNT - 10), (2, COUNT - 10), (3, COUNT - 10), (400, COUNT - 20)]
)
def test_a_damaged_page_costs_what_stood_on_it(path: Path, page: int, least: int) -> None:
    """The first says what the tables are, the second leads to all rows."""
    overwrite(path, page, 1)
    assert kept(path) >= least
    loss = ReplyCache(path).lost()
    assert loss is not None and loss.kept >= least


def test_a_file_that_was_cut_off_keeps_its_part(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert 0.4 * COUNT < kept(path) < 0.6 * COUNT
    loss = ReplyCache(path).lost()
    assert loss is not None and loss.total == pytest.approx(COUNT, rel=0.1) and loss.sent == 100
    assert "replies could be saved" in caplog.text


def test_flipped_bits_are_no_replies(path: Path) -> None:
    rng, content = random.Random(3), bytearray(path.read_bytes())
    for _ in range(200):
        content[rng.randrange(PAGE, len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    assert kept(path) > 0.8 * COUNT  # and `kept` compares every text


def test_replies_that_stood_in_the_log_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    cache = ReplyCache(path)
    for number in range(200):
        cache.put(key(number), Completion(text=text(number)))
    for tail in ("", "-wal"):  # as a kill leaves them
        shutil.copy(path.with_name(path.name + tail), tmp_path / f"k.sqlite{tail}")
    cache.close()
    assert len(salvage(tmp_path / "k.sqlite").rows) == 200


def test_a_large_loss_stops_before_a_call_and_says_its_price(server: FaultServer, path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 300 * PAGE])
    cache = ReplyCache(path)
    with pytest.raises(
        TacosError, match=r"lost [\d,]+ of about [\d,]+ replies, about \$\d\.\d\d if m gave .*--continue"
    ):
        check_losses(cache, PRICED, go_on=False)
    with pytest.raises(TacosError, match="--continue"):  # a restart does not forget
        check_losses(ReplyCache(path), PRICED, go_on=False)
    check_losses(ReplyCache(path), PRICED, go_on=True)
    check_losses(ReplyCache(path), PRICED, go_on=False)
    assert server.hits == 0


def test_a_small_loss_is_told_and_taken(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    overwrite(path, 400, 1)
    cache = ReplyCache(path)
    loss = cache.lost()
    assert loss is not None and 0 < loss.share < LOST_SHARE
    check_losses(cache, PRICED, go_on=False)
    assert "they are asked again" in caplog.text and cache.lost() is None


def test_an_empty_file_lost_everything(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.touch()
    with pytest.raises(TacosError, match="was damaged and lost all its replies"):
        check_losses(ReplyCache(path), PRICED, go_on=False)


def test_a_new_file_lost_nothing(server: FaultServer, tmp_path: Path) -> None:
    complete(client(server.endpoint, tmp_path / "c.sqlite"), asks(5))
    assert ReplyCache(tmp_path / "c.sqlite").lost() is None


def test_a_reply_whose_text_changed_is_asked_again(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE replies SET text = 'another' WHERE key = ?", (key(7),))
    assert list(ReplyCache(path).get([key(7), key(8)])) == [key(8)]


def test_damage_in_the_middle_of_work_is_seen_too(path: Path) -> None:
    cache = ReplyCache(path)
    cache.get([key(1)])
    overwrite(path, 2, 1)
    overwrite(path, 60, 500)
    cache.close()
    cache.get([key(number) for number in range(COUNT)])
    loss = cache.lost()
    assert loss is not None and 0 < loss.kept < COUNT


FIND = """
import sys
from pathlib import Path
from tacos.llm.cache import ReplyCache
sys.stdin.readline()
cache = ReplyCache(Path(sys.argv[1]))
print(len(cache.get([n.to_bytes(32, "big") for n in range(3000)])), cache.lost().kept)
"""


def test_processes_that_find_the_damage_together_save_it_once(path: Path) -> None:
    overwrite(path, 2, 2)
    pipe = subprocess.PIPE
    found = [
        subprocess.Popen([sys.executable, "-c", FIND, str(path)], stdin=pipe, stdout=pipe, text=True)
        for _ in range(3)
    ]
    said = {process.communicate("\n", timeout=120)[0] for process in found}
    assert len(said) == 1 and int(said.pop().split()[0]) > COUNT - 20
    assert len([p for p in path.parent.iterdir() if ".corrupt-" in p.name]) == 1


def test_what_was_spent_goes_over(path: Path) -> None:
    bill = Bill(ReplyCache(path), "run/tagger")
    bill.add_known([(key(1), Tokens(100, 50))])
    overwrite(path, 60, 300)
    cache = ReplyCache(path)
    assert cache.lost() is not None and Bill(cache, "run/tagger").spent == (100, 50)


def test_a_bill_lives_on_in_a_new_file(path: Path) -> None:
    """Where the damage is met in the middle of work, and the tables of bills were in it."""
    cache = ReplyCache(path)
    bill = Bill(cache, "run/tagger")
    cache.close()
    overwrite(path, 1, 1000)
    cache.get([key(1)])
    number = bill.reserve(10, 20, lambda total: True)
    assert number is not None
    bill.settle(number, key(1), 10, Tokens(10, 5))
    assert bill.spent == (10, 5)


def test_replies_that_were_asked_again_are_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    cache = ReplyCache(path)
    for _ in range(3):
        for number in range(300):
            cache.put(key(number), Completion(text=text(number)))
    cache.close()
    found = salvage(path)
    assert (len(found.rows), found.total) == (300, 300)


def test_a_second_damage_adds_to_the_loss(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 300 * PAGE])
    first = ReplyCache(path).lost()
    assert first is not None
    overwrite(path, 30, 20)
    second = ReplyCache(path).lost()
    assert second is not None and second.missing > first.missing


def test_old_pages_of_the_log_hide_no_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    cache = ReplyCache(path)
    assert cache._db is not None
    for number in range(400):
        cache.put(key(number), Completion(text=text(number)))
        if number == 300:
            cache._db.execute("PRAGMA wal_checkpoint(RESTART)")
    for tail in ("", "-wal"):
        shutil.copy(path.with_name(path.name + tail), tmp_path / f"k.sqlite{tail}")
    cache.close()
    with (tmp_path / "k.sqlite").open("r+b") as handle:
        handle.write(b"\xff" * 32)
    assert len(salvage(tmp_path / "k.sqlite").rows) == 400
