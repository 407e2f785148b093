"""How near `tacos plan` comes to what is billed: a selection is planned, then paid for on a mock server.

    python -m scripts.bench.estimate --pool alpaca_data.json --rows 2000 [--tokenizer FILE]

The server counts tokens with a real tokenizer, MiniLM's WordPiece or that of a `tokenizer.json` or a Tekken file, and
answers with tags and scores of varying length. The plan is made three times: before anything is paid, after a pilot
that a cap stops, and of the compare stage when its groups are known.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tacos.data.read import read_pool
from tacos.errors import SpendCapError
from tacos.models.embedder import packaged_minilm
from tacos.pipeline.plan import plan
from tacos.pipeline.select import select
from tacos.pipeline.settings import SelectSettings
from tacos.usage import Usage

Count = Callable[[str], int]
WORDS = ["sums", "cooking", "poems", "travel", "maths", "code", "letters", "history", "jokes", "lists"]


def counter(path: Path | None) -> Count:
    if path is not None and path.name.startswith("tekken"):
        return _tekken(path)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path or Path(str(packaged_minilm())) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _tekken(path: Path) -> Count:
    import tiktoken

    data = json.loads(path.read_text())
    config = data["config"]
    size = config["default_vocab_size"] - config["default_num_special_tokens"]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in data["vocab"][:size]}
    encoding = tiktoken.Encoding(
        "tekken", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={}
    )
    return lambda text: len(encoding.encode_ordinary(text))


def answer(content: str) -> str:
    """One to five tags with a sentence each, or a feedback of one to six sentences and two scores."""
    dice = hashlib.sha256(content.encode("utf-8", "replace")).digest()
    why = "This follows from the wording of the request and from what a good reply to it would need."
    if "<response_1>" in content:
        return json.dumps(
            {"feedback": " ".join([why] * (1 + dice[0] % 6)), "score_1": dice[1] % 100 + 1, "score_2": 50}
        )
    tags = {WORDS[dice[i] % len(WORDS)] for i in range(1 + dice[0] % 5)}
    return json.dumps(
        {"tags": [{"tag": tag, "explanation": why[: 20 + dice[9] % 70]} for tag in sorted(tags)]}
    )


@contextmanager
def serving(count: Count) -> Iterator[str]:
    async def handle(request: web.Request) -> web.Response:
        content = (await request.json())["messages"][0]["content"]
        text = answer(content)
        usage = {"prompt_tokens": count(content) + 4, "completion_tokens": count(text)}
        return web.json_response({"choices": [{"message": {"content": text}}], "usage": usage})

    async def start() -> tuple[web.AppRunner, int]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner, port = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    yield f"http://127.0.0.1:{port}/v1"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)


def planned(settings: SelectSettings) -> dict[str, Usage]:
    return {stage.stage: stage.estimate for stage in plan(settings)}


def paid(settings: SelectSettings) -> dict[str, Usage]:
    """What the finished stages used, as if paid at once."""
    found = {}
    for name in ("tag", "compare"):
        for path in Path(settings.artifacts).glob(f"{name}/*/done.json"):
            found[name] = Usage.model_validate(json.loads(path.read_text())["usage"]).as_first_paid()
    return found


def show(what: str, expected: Usage, real: Usage) -> None:
    cells = [f"{what:<34} {expected.calls:>6,} calls"]
    for name in ("prompt_tokens", "completion_tokens", "cost_usd"):
        one, two = getattr(expected, name), getattr(real, name)
        cells.append(f"{name} {one:,.6g} of {two:,.6g} ({one / two - 1:+.1%})")
    print("  ".join(cells))


def run(pool: Path, count: Count, folder: Path) -> None:
    with serving(count) as endpoint:
        prices = {"price_per_million_input": 0.15, "price_per_million_output": 0.6}
        llm: dict[str, Any] = {"model": "m", "endpoint": endpoint, "structured": True, **prices}
        data: dict[str, Any] = {
            "llms": {"tagger": llm, "scorer": llm},
            "pool": {"source": str(pool)},
            "budget": 100,
            "artifacts": str(folder / "artifacts"),
            "runs": str(folder / "runs"),
            "group": {
                "tagging": {"llm": "tagger"},
                "normalization": {"min_count": 1, "order": ["frequency"]},
                "clustering": {"k": 10},
            },
            "score": {"llm": "scorer"},
        }
        settings = SelectSettings.model_validate(data)
        before = planned(settings)
        capped = {**llm, "max_tokens_total": 80_000}
        for stage in ("tagger", "scorer"):
            try:
                pilot = SelectSettings.model_validate({**data, "llms": {**data["llms"], stage: capped}})
                select(pilot, folder / "out.jsonl")
            except SpendCapError as error:
                print(error)
            after = planned(settings)
            before |= {f"{name}, {stage} pilot": usage for name, usage in after.items()}
            if stage == "tagger":
                left = SelectSettings.model_validate(
                    {**data, "llms": {"tagger": llm, "scorer": {**llm, "max_tokens_total": 1}}}
                )
                try:
                    select(left, folder / "out.jsonl")
                except SpendCapError:
                    before["compare, groups known"] = planned(settings)["compare"]
        select(settings, folder / "out.jsonl")
        real = paid(settings)
    show("tag, nothing paid", before["tag"], real["tag"])
    for name, stage in (("tag, tagger pilot", "tag"), ("compare, scorer pilot", "compare")):
        usage = before[name]
        share = usage.calls / (usage.calls + usage.cached_calls)
        rest = Usage(**{k: getattr(real[stage], k) * share for k in ("cost_usd",)})
        rest = rest.model_copy(
            update={k: round(getattr(real[stage], k) * share) for k in ("prompt_tokens", "completion_tokens")}
        )
        show(f"{name} ({usage.cached_calls} replies)", usage, rest)
    show("compare, groups known", before["compare, groups known"], real["compare"])
    show("compare, groups guessed", before["compare"], real["compare"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--tokenizer", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = read_pool(str(args.pool)).pool
        step = max(1, len(whole) // args.rows)
        rows = [
            {"id": s.id, "messages": [m.model_dump() for m in s.messages]}
            for s in whole.take(range(0, len(whole), step))
        ]
        (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        run(folder / "pool.jsonl", counter(args.tokenizer), folder)


if __name__ == "__main__":
    main()
