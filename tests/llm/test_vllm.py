"""vLLM for real, in this process and behind `vllm serve`, with a tiny LLaMA; `scripts/vllm_cpu.sh` on a CPU."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tacos.errors import LLMError
from tacos.llm.backends.engine import release
from tacos.llm.backends.vllm import VLLMBackend
from tacos.llm.base import Request, Sampling
from tacos.llm.build import build_llm
from tacos.llm.client import CachedLLM, complete
from tacos.llm.settings import LLMSettings, VLLMEngine
from tacos.models.chat import prompt_ids
from tacos.usage import Ledger

from .helpers import ask, texts
from .serving import serving
from .vllm_engine import CPU, NEEDS_VLLM, engine_on_cpu
from .work import CALLS, TAGGING, check, pool, tag_request, work

pytestmark = [pytest.mark.slow, NEEDS_VLLM]
ENGINE = {"enforce_eager": True, "max_num_seqs": 8}
COMMAND = """
from importlib import metadata
known, made_by = metadata.version, metadata.packages_distributions()["vllm"]
metadata.version = lambda name: known("vllm-cpu") + "+cpu" if name == "vllm" != made_by[0] else known(name)
from vllm.entrypoints.cli.main import main
main()
"""
"""The command `vllm`, which asks for its own version by a name that the CPU build has not."""


@pytest.fixture(scope="module", autouse=True)
def engine_of_this_module() -> Iterator[None]:
    with engine_on_cpu():
        yield


def client(model: Path, ledger: Ledger | None = None, cache: Path | None = None, **changes: Any) -> CachedLLM:
    engine = {**ENGINE, **changes.pop("engine", {})}
    settings = LLMSettings(
        backend="vllm",
        model=str(model),
        dtype="float32",
        engine=VLLMEngine(**engine),
        max_failed_share=1.0,
        **changes,
    )
    return build_llm(settings, ledger or Ledger(), cache)


def by_transformers(model: Path, requests: list[Request]) -> list[str | None]:
    return texts(
        complete(build_llm(LLMSettings(backend="transformers", model=str(model)), Ledger(), None), requests)
    )


def greedy(count: int) -> list[Request]:
    return [
        tag_request(sample, TAGGING).model_copy(update={"sampling": Sampling(max_tokens=40)})
        for sample in islice(pool(), count)
    ]


@pytest.mark.parametrize("structured", [False, True])
def test_tagging_scoring_and_judging_in_this_process(
    taught_model: Path, tmp_path: Path, structured: bool
) -> None:
    ledger = Ledger()
    llm = client(taught_model, ledger, tmp_path / "cache.sqlite", structured=structured)
    done = work(llm)
    check(done, ledger, structured)
    assert ledger.total.prompt_tokens > 100 * CALLS and ledger.total.completion_tokens > CALLS
    paid, again = ledger.total, work(llm)
    assert (again.tags, again.verdicts) == (done.tags, done.verdicts)
    assert ledger.total.calls == paid.calls


def test_greedy_replies_are_those_of_transformers(taught_model: Path) -> None:
    requests = greedy(12)
    assert texts(complete(client(taught_model), requests)) == by_transformers(taught_model, requests)


def test_draws_follow_the_question_and_its_repeat(taught_model: Path) -> None:
    llm, hot = client(taught_model), Sampling(temperature=1.5, top_p=0.9, max_tokens=12)
    requests = [ask("the fox", sampling=hot, repeat=i) for i in range(6)]
    together = texts(complete(llm, requests))
    assert texts(complete(llm, requests[3:4])) == together[3:4]
    assert len(set(together)) == 6


def test_a_row_that_cannot_be_asked_is_its_own_error(taught_model: Path) -> None:
    llm, short = client(taught_model, structured=True), Sampling(max_tokens=4)
    long, bad, good = complete(
        llm,
        [
            ask("x " * 3000, sampling=short),
            ask("x", sampling=short, json_schema={"type": "nonsense"}),
            ask("x", sampling=short),
        ],
    )
    assert "the model's context is 1024" in (long.error or "")
    assert "vLLM refuses the request" in (bad.error or "") and "nonsense" in (bad.error or "")
    assert good.text is not None


def test_a_reply_ends_with_the_context(taught_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(taught_model)
    text = "x " * 500
    room = 1024 - len(prompt_ids(tokenizer, ask(text).messages))
    hot = Sampling(temperature=2.0, max_tokens=4096)
    (reply,) = complete(client(taught_model), [ask(text, sampling=hot)])
    assert reply.text is not None and 1 <= reply.completion_tokens <= room


def test_log_probabilities_are_the_models(taught_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    request = ask("the fox", sampling=Sampling(max_tokens=1), top_logprobs=3)
    (reply,) = complete(client(taught_model), [request])
    tokenizer, model = (kind.from_pretrained(taught_model) for kind in (AutoTokenizer, AutoModelForCausalLM))
    tokens = torch.tensor([prompt_ids(tokenizer, request.messages)])
    likeliest = torch.log_softmax(model(tokens).logits[0, -1], -1).topk(3)
    expected = {
        tokenizer.decode(i): v for i, v in zip(likeliest.indices, likeliest.values.tolist(), strict=True)
    }
    assert reply.logprobs == pytest.approx(expected, abs=1e-3)


def test_requests_are_taken_as_there_is_room_and_what_nobody_waits_for_is_dropped(taught_model: Path) -> None:
    backend = client(taught_model).backend
    assert isinstance(backend, VLLMBackend)
    taken: list[int] = []

    def requests() -> Iterator[Request]:
        for i in range(1000):
            taken.append(i)
            yield ask(f"the fox {i}", sampling=Sampling(temperature=1.0, max_tokens=4 + i % 30))

    async def some(count: int) -> list[int]:
        async with aclosing(backend.stream(requests())) as replies:
            return [reply.index async for reply in _first(replies, count)]

    arrived = asyncio.run(some(40))
    assert len(set(arrived)) == 40 and arrived != sorted(arrived)
    assert (
        len(taken) <= 40 + 2 * 2 * ENGINE["max_num_seqs"]
    )  # twice what runs at once, and one step's replies
    taken.clear()
    assert len(set(asyncio.run(some(5)))) == 5  # the engine is as good as new


async def _first(replies: Any, count: int) -> Any:
    async for reply in replies:
        yield reply
        count -= 1
        if count == 0:
            return


def test_an_adapter_answers_as_the_merged_model(taught_model: Path, tmp_path: Path) -> None:
    adapter, merged = adapt(taught_model, tmp_path)
    requests = greedy(6)
    plain, adapted = client(taught_model), client(taught_model, engine={"lora": str(adapter)})
    assert adapted.model.startswith(plain.model + "+local@")
    expected = by_transformers(merged, requests)
    assert texts(complete(adapted, requests)) == expected != by_transformers(taught_model, requests)


def adapt(model: Path, out: Path) -> tuple[Path, Path]:
    """A LoRA adapter with random weights, and the model it makes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "up_proj"], init_lora_weights=False)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(model), config)
    adapted.save_pretrained(out / "adapter")
    adapted.merge_and_unload().save_pretrained(out / "merged")
    AutoTokenizer.from_pretrained(model).save_pretrained(out / "merged")
    return out / "adapter", out / "merged"


def test_a_model_that_cannot_be_loaded(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(LLMError, match="vLLM does not start with"):
        complete(client(tmp_path / "empty"), [ask("x")])


@pytest.fixture(scope="module")
def served(taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    release()  # one engine at a time
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    flags = ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "8", "--generation-config", "vllm"]
    with serving([sys.executable, "-c", COMMAND, "serve", str(taught_model), *flags], log, CPU) as url:
        yield url


@pytest.mark.parametrize("structured", [False, True])
def test_tagging_scoring_and_judging_by_a_server(
    served: str, taught_model: Path, tmp_path: Path, structured: bool
) -> None:
    ledger = Ledger()
    settings = LLMSettings(
        model=str(taught_model),
        endpoint=served,
        concurrency=8,
        structured=structured,
        api_key_env="UNSET_KEY",
    )
    llm = build_llm(settings, ledger, tmp_path / "cache.sqlite")
    check(work(llm), ledger, structured)


def test_a_server_and_the_process_give_the_same_greedy_replies(served: str, taught_model: Path) -> None:
    settings = LLMSettings(model=str(taught_model), endpoint=served, api_key_env="UNSET_KEY")
    requests = greedy(12)
    served_replies = complete(build_llm(settings, Ledger(), None), requests)
    assert [(text or "").strip() for text in texts(served_replies)] == by_transformers(taught_model, requests)
    assert all(reply.prompt_tokens > 100 for reply in served_replies)
