"""Actors on a Ray cluster: what they are given and give back, and that nothing is lost with one that is killed.

The cluster is two nodes on this machine, on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tacos.errors import ConfigError, LLMError
from tacos.grouping.tagging import LLMTagger
from tacos.llm.backend import Backend
from tacos.llm.backends.ray import RayBackend
from tacos.llm.backends.ray_actors import check, gpus, rotated, worker_settings
from tacos.llm.backends.worker import ActorStarted, Worker
from tacos.llm.base import LLM, Completion
from tacos.llm.build import build_llm
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM, collect, complete
from tacos.llm.settings import LLMSettings, VLLMEngine
from tacos.models.embedded import TextReading, readers_apart
from tacos.models.embedder import Embedder
from tacos.models.parallel import Readers
from tacos.models.ray_readers import ray_readers
from tacos.models.reading import ModelReading
from tacos.ray_cluster import RayActors, release
from tacos.scoring.answer_loss import Layout, _losses
from tacos.scoring.comparators import LLMComparator
from tacos.scoring.ifd import Ifd
from tacos.selection import Groups, Scores, Tags
from tacos.store import kept
from tacos.types import Pool, make_sample
from tacos.usage import Ledger
from tests.models import embedding
from tests.models.embedding import FLOAT32, DeadlyReading
from tests.scoring import tiny_models
from tests.scoring.compared import comparative_scores
from tests.scoring.scored import scored

from . import work
from .far import deadly, failing, scripted
from .helpers import ask, asks, echoes, texts
from .server import Fault, FaultServer
from .vllm_engine import CPU, NEEDS_VLLM

ON_RAY = FLOAT32.model_copy(update={"ray": RayActors(num_cpus=1), "batch_tokens": 64})
CANARY = "sk-canary-5d1c"
ROWS = 240
POOL = Pool.from_samples(make_sample(f"Do {i}.", f"Done {i}.", id=f"s{i}") for i in range(ROWS))


def answer(content: str) -> str:
    """Tags and scores that follow from the numbers in the question."""
    numbers = [int(number) for number in re.findall(r"Do (\d+)\.", content)]
    if len(numbers) == 1:
        return f'{{"tags": [{{"tag": "number {numbers[0]}", "explanation": "it says so"}}]}}'
    return f'{{"feedback": "ok", "score_1": {1 + numbers[0] % 100}, "score_2": {1 + numbers[1] % 100}}}'


def tag_and_score(llm: LLM) -> tuple[Tags, Scores]:
    tags = LLMTagger(work.TAGGING, llm).tag(POOL)
    comparator = LLMComparator(work.COMPARING.call_prompt, llm)
    return tags, comparative_scores(POOL, Groups.one(ROWS), comparator, work.COMPARING, seed=0)


def settings(endpoint: str = "http://127.0.0.1:1/v1", **ray: Any) -> LLMSettings:
    return LLMSettings(model="m", endpoint=endpoint, concurrency=8, ray=RayActors(**{"ahead": 16, **ray}))


def over_ray(chosen: LLMSettings, make: Any, ledger: Ledger | None = None) -> CachedLLM:
    return CachedLLM(RayBackend(chosen, "cpu", make), None, ledger or Ledger(), chosen)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU each, this process being connected to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENAI_API_KEY", raising=False)
        for name, value in CPU.items():
            patch.setenv(name, value)
        ray = pytest.importorskip("ray", reason="needs the ray extra")
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}
        nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        nodes.add_node(**node)
        ray.init(nodes.address, log_to_driver=False, logging_level="ERROR")
        yield nodes
        release()
        ray.shutdown()
        nodes.shutdown()


@pytest.fixture
def actors(cluster: Any) -> Iterator[None]:
    """A cluster with nothing left on it by the test before."""
    release()
    yield
    release()


def actor_processes() -> list[psutil.Process]:
    running = psutil.Process().children(recursive=True)
    return [process for process in running if process.name().startswith("ray::Worker")]


@pytest.mark.slow
def test_a_killed_actor_loses_nothing_and_the_replies_are_everyones(
    actors: None, server: FaultServer, tmp_path: Path
) -> None:
    killed: list[psutil.Process] = []

    def kill_half_way(count: int) -> None:
        if count == ROWS // 2:
            killed.append(actor_processes()[0])
            killed[0].kill()

    server.answer, server.delay_s, server.on_hit = answer, 0.01, kill_half_way
    chosen, ledger = settings(server.endpoint), Ledger()
    tags, scores = tag_and_score(build_llm(chosen, ledger, tmp_path / "replies.sqlite"))
    assert len(killed) == 1 and not killed[0].is_running()
    assert tags.rows == tuple((f"number {i}",) for i in range(ROWS)) and not tags.errors
    assert scores.values.tolist() == [1 + i % 100 for i in range(ROWS)] and not scores.errors
    calls = ROWS + ROWS // 2
    assert ledger.total.calls == calls and ledger.total.failed_calls == 0
    assert len(server.asked) == calls  # each question, and only what was in a dead reader twice
    assert calls <= server.hits <= calls + 4 * chosen.concurrency and max(server.asked.values()) <= 2

    hits = server.hits
    alone, again = LLMSettings(model="m", endpoint=server.endpoint), Ledger()
    assert alone.identity() == chosen.identity()
    tags_again, scores_again = tag_and_score(build_llm(alone, again, tmp_path / "replies.sqlite"))
    assert server.hits == hits and (again.total.calls, again.total.cached_calls) == (0, calls)
    assert tags_again == tags and scores_again.values.tolist() == scores.values.tolist()


def test_a_row_that_fails_is_one_row(actors: None, server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.REFUSED if content == "question 7" else Fault.OK
    ledger = Ledger()
    found = complete(build_llm(settings(server.endpoint), ledger, None), asks(40))
    assert [i for i, completion in enumerate(found) if completion.error] == [7]
    assert "content refused" in (found[7].error or "")
    assert (ledger.total.calls, ledger.total.failed_calls) == (39, 1)


def test_the_key_is_read_where_it_is_used(
    actors: None, cluster: Any, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan = lambda content, times: Fault.UNAUTHORISED if content == "question 7" else Fault.OK
    (tmp_path / "key").write_text(CANARY)
    in_file = settings(server.endpoint).model_copy(update={"api_key_file": str(tmp_path / "key")})
    found = complete(build_llm(in_file, Ledger(), None), asks(20))
    assert all(headers["Authorization"] == f"Bearer {CANARY}" for headers in server.headers)
    assert "[key]" in (found[7].error or "") and CANARY not in repr(found)
    logs = [path for path in Path(cluster.head_node.get_session_dir_path()).rglob("*") if path.is_file()]
    assert logs and not any(CANARY.encode() in path.read_bytes() for path in logs)

    monkeypatch.setenv("OPENAI_API_KEY", CANARY)  # too late for the nodes
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is set here and not on machine") as caught:
        complete(build_llm(settings(server.endpoint), Ledger(), None), asks(20))
    assert CANARY not in str(caught.value)


@pytest.mark.slow
@NEEDS_VLLM
def test_vllm_engines_as_actors(actors: None, taught_model: Path, tmp_path: Path) -> None:
    engine = VLLMEngine(enforce_eager=True, max_num_seqs=8, max_model_len=1024)
    chosen = LLMSettings(
        backend="vllm",
        model=str(taught_model),
        dtype="float32",
        engine=engine,
        structured=True,
        ray=RayActors(actors=1, num_gpus=0),
    )
    ledger = Ledger()
    done = work.work(build_llm(chosen, ledger, tmp_path / "c.sqlite"))
    work.check(done, ledger, structured=True)
    calls, again = ledger.total.calls, Ledger()
    here = chosen.model_copy(update={"ray": None})  # finds all, and starts no engine
    assert work.work(build_llm(here, again, tmp_path / "c.sqlite")).tags == done.tags
    assert (again.total.calls, again.total.cached_calls) == (0, calls)


def test_actors_share_the_work_and_stay_for_the_next_stage(actors: None) -> None:
    chosen = settings(ahead=4)
    first = complete(over_ray(chosen, scripted), asks(300))
    assert [(c.text or "").rpartition(" of ")[0] for c in first] == [r.messages[0].content for r in asks(300)]
    by = {(c.text or "").rpartition(" ")[2] for c in first}
    capped = chosen.model_copy(update={"max_tokens_total": 10**9})  # no concern of an actor
    then = complete(over_ray(capped, scripted), asks(300))
    assert {(c.text or "").rpartition(" ")[2] for c in then} <= by | {str(p.pid) for p in actor_processes()}
    assert by <= {str(p.pid) for p in actor_processes()}
    other = complete(over_ray(chosen.model_copy(update={"model": "n"}), scripted), asks(4))
    assert not by & {(c.text or "").rpartition(" ")[2] for c in other}
    release()
    psutil.wait_procs(actor_processes(), 10)
    assert not actor_processes()


@pytest.mark.slow
def test_a_local_model_is_read_by_actors_and_one_that_dies_loses_nothing(
    actors: None, tmp_path: Path
) -> None:
    model = str(tiny_models.build(tmp_path / "llama", "llama"))
    part = Ifd(model=model, ceiling=None, batch_tokens=64)
    one = scored(part, POOL[:60], tmp_path / "one").values
    over = part.model_copy(update={"ray": RayActors(num_cpus=1)})
    assert scored(over, POOL[:60], tmp_path / "two").values == pytest.approx(one, abs=1e-6)
    psutil.wait_procs(reading_processes(), 10)
    assert not reading_processes()  # gone with the stage

    reading = ModelReading("losses", model, "auto", partial(_losses, Layout("alpaca", 512, "skip"), 64, True))
    readers, found, killed = ray_readers(reading, RayActors(num_cpus=1), 64, Ledger()), {}, []
    for row, losses in readers.read(POOL[:60], range(60), "rows"):
        found[row] = losses
        if not killed and len(reading_processes()) == 2:
            killed.append(reading_processes()[0])
            killed[0].kill()
    readers.close()
    assert killed and sorted(found) == list(range(60))


@pytest.mark.slow
def test_a_pool_is_embedded_by_actors_as_here_though_one_dies(
    actors: None,
    minilm: Embedder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once = tmp_path / "once"
    once.touch()

    def deadly_readers(reading: TextReading, ledger: Ledger) -> Readers | None:
        return readers_apart(DeadlyReading(**vars(reading), once=str(once)), ledger)

    here, alone = embedding.run(tmp_path / "here", FLOAT32)
    monkeypatch.setattr("tacos.models.embedded.readers_apart", deadly_readers)
    there, both = embedding.run(tmp_path / "there", ON_RAY)
    assert not once.exists() and "its rows go to the others" in caplog.text
    assert there == pytest.approx(here, abs=1e-6)  # other batches
    assert both.fingerprint == alone.fingerprint
    assert both.usage.forward_tokens == alone.usage.forward_tokens > 0
    assert both.outcome.metrics == alone.outcome.metrics


@pytest.mark.slow
def test_actors_go_on_with_a_pool_that_was_half_embedded(
    actors: None, minilm: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "CHUNK", 8)
    one_actor = ON_RAY.model_copy(update={"ray": RayActors(actors=1)})
    shards: list[str] = []
    real = Readers.read

    def dying(self: Readers, pool: Pool, rows: Sequence[int], which: str) -> Iterator[tuple[int, Any]]:
        shards.append(which)
        if len(shards) == 2:
            raise KeyboardInterrupt
        yield from real(self, pool, rows, which)

    here, alone = embedding.run(tmp_path / "here", FLOAT32)
    monkeypatch.setattr(Readers, "read", dying)
    with pytest.raises(KeyboardInterrupt):
        embedding.run(tmp_path / "there", one_actor)
    psutil.wait_procs(reading_processes(), 10)
    assert not reading_processes()
    there, both = embedding.run(tmp_path / "there", one_actor)
    first, second, third = (f"rows {row + 1} to {row + 8} of 24" for row in (0, 8, 16))
    assert shards == [first, second, second, third]
    assert there == pytest.approx(here, abs=1e-6)
    assert both.usage.forward_tokens == alone.usage.forward_tokens > 0


def reading_processes() -> list[psutil.Process]:
    running = psutil.Process().children(recursive=True)
    return [process for process in running if process.name().startswith("ray::PieceReader")]


def test_two_models_at_once_take_turns_where_there_is_no_room_for_both(actors: None) -> None:
    one, two = (over_ray(settings().model_copy(update={"model": name}), scripted) for name in "ab")

    async def both() -> list[list[Completion]]:
        return await asyncio.gather(collect(one, asks(20)), collect(two, asks(20)))

    assert all(completion.text for found in asyncio.run(both()) for completion in found)


@pytest.mark.slow
def test_a_request_that_kills_its_actor_is_given_up(actors: None) -> None:
    chosen = settings(ahead=1, actors=2).model_copy(update={"max_failed_share": 0.9})
    found = complete(over_ray(chosen, deadly), [*asks(6), ask("poison")])
    assert texts(found[:6]) == ["fine"] * 6 and found[6].error == "5 actors were lost with this request"


def test_when_nobody_can_answer(actors: None) -> None:
    with pytest.raises(LLMError, match="no actor is left, the last gave up: the engine stopped"):
        complete(over_ray(settings(actors=1), failing), asks(4))


def test_when_there_is_no_room(actors: None) -> None:
    with pytest.raises(LLMError, match=r"no actor has started within 0.5 s.* 3 GPUs, .* 0 of 0 GPUs free"):
        complete(over_ray(settings(num_gpus=3, start_s=0.5), scripted), asks(1))


@pytest.mark.slow
def test_a_lost_node(actors: None, cluster: Any, server: FaultServer) -> None:
    server.delay_s = 0.01
    node = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1", object_store_memory=80 * 2**20)
    server.on_hit = lambda count: cluster.remove_node(node, allow_graceful=False) if count == 150 else None
    llm = build_llm(settings(server.endpoint, actors=3), Ledger(), None)
    assert texts(complete(llm, asks(400))) == echoes(asks(400))
    assert len(actor_processes()) == 2  # the third waits for a machine and holds nothing up


def test_nothing_is_started_for_what_is_known(tmp_path: Path) -> None:
    chosen, requests = settings(address="127.0.0.1:1"), asks(3)
    llm = build_llm(chosen, Ledger(), tmp_path / "c.sqlite")
    known = build_llm(LLMSettings(model="m"), Ledger(), None)
    cache = ReplyCache(tmp_path / "c.sqlite")
    for request in requests:
        cache.put(known.key(request), Completion(text="known"))
    cache.close()
    assert texts(complete(llm, requests)) == ["known"] * 3


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'tacos-select\[ray\]'"):
        complete(over_ray(settings(), scripted), asks(1))


def test_an_actor_must_be_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings()
    check(ActorStarted("far", "m", keyed=False), chosen, "m")
    with pytest.raises(ConfigError, match=r"'far' .* api_key_file k cannot be read"):
        check(ActorStarted("far", error="api_key_file k cannot be read"), chosen, "m")
    with pytest.raises(ConfigError, match="has local@2 as 'm', and this one local@1"):
        check(ActorStarted("far", "local@2", keyed=True), chosen, "local@1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is set here and not on machine 'far'") as caught:
        check(ActorStarted("far", "m", keyed=False), chosen, "m")
    assert "canary" not in str(caught.value)


def test_what_an_actor_is_made_from() -> None:
    chosen = LLMSettings(
        model="m", endpoint=("http://a", "http://b", "http://c"), max_tokens_total=5, ray=RayActors()
    )
    assert worker_settings(chosen) == LLMSettings(model="m", endpoint=chosen.endpoint)
    assert [rotated(chosen, n).endpoints[0] for n in range(4)] == [
        "http://a",
        "http://b",
        "http://c",
        "http://a",
    ]
    assert (gpus(chosen, RayActors()), gpus(chosen, RayActors(num_gpus=0.5))) == (0, 0.5)
    engine = LLMSettings.model_validate(
        {"model": "m", "backend": "vllm", "engine": {"tensor_parallel_size": 4}}
    )
    assert gpus(engine, RayActors()) == 4


def worker(make: Any = scripted, low: int = 2) -> Worker:
    made = Worker(LLMSettings(model="m"), "cpu", make, low)
    assert made.start().error is None
    return made


def test_a_worker_takes_and_gives() -> None:
    one, got = worker(), {}
    given = [(10 + i, request) for i, request in enumerate(asks(7))]
    news = one.exchange(given[:4], more=True)
    got |= {reply.index: reply.completion.text for reply in news.replies}
    news = one.exchange(given[4:], more=False)
    while len(got) < 7:
        got |= {reply.index: reply.completion.text for reply in news.replies}
        news = one.exchange([], more=False) if len(got) < 7 else news
    assert [(got[i] or "").partition(" of ")[0] for i, _ in given] == [
        r.messages[0].content for _, r in given
    ]
    again = one.exchange([(3, ask("later"))], more=False)  # a new stream of its backend
    assert [reply.index for reply in again.replies] == [3]


def test_a_worker_that_waits_for_more_finishes_what_it_has(server: FaultServer) -> None:
    def build(settings: LLMSettings, device: str) -> Backend:
        return build_llm(settings.model_copy(update={"endpoint": server.endpoint}), Ledger(), None).backend

    one = worker(build)
    server.delay_s = 0.3  # longer than the inbox may stay empty
    given = [(i, request) for i, request in enumerate(asks(2))]
    replies = []
    while len(replies) < 2:  # the driver says that it has more, and gives nothing
        news = one.exchange(given, more=True)
        replies, given = replies + news.replies, []
    assert set(server.asked.values()) == {1}


def test_a_worker_whose_backend_gives_up() -> None:
    one = worker(failing)
    news = one.exchange([(0, ask("a")), (1, ask("b"))], more=False)
    while news.failed is None:
        news = one.exchange([], more=False)
    assert news.failed == "the engine stopped"


def test_a_worker_that_cannot_be_made(tmp_path: Path) -> None:
    chosen = LLMSettings(model="m", api_key_file=str(tmp_path / "none"))
    hello = Worker(chosen, "cpu", scripted, 2).start()
    assert "No such file" in (hello.error or "")
