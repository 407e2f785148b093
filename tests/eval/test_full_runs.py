"""A whole MT-Bench and a whole AlpacaEval through a real server, the same tiny model as candidate and judge."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tacos.cli.app import app
from tests.llm import tiny_llama
from tests.llm.serving import serving
from tests.pages import PAGES

pytestmark = pytest.mark.slow


def parrot(folder: Path, reply: str) -> Path:
    """A tiny LLaMA that was taught one reply, which it gives to every prompt of any length.

    The reply is one token of its own, and attention is off, so that the model reads the last token only: the end of
    the template, on which it is trained. Its tokenizer knows the words of English pages, which keeps prompts short.
    """
    import torch

    pages = [page.text for page in PAGES]
    model, tokenizer = tiny_llama.make(pages, 0, context=8192, vocabulary=3000, layers=1)
    tokenizer.add_tokens([reply])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    for layer in model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight).requires_grad_(False)
    turn = tokenizer("<|assistant|>", add_special_tokens=False).input_ids
    ids = torch.tensor([[*turn, tokenizer.convert_tokens_to_ids(reply), tokenizer.eos_token_id]])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(100):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Whatever it is asked, the model says that it is worth a 7, and that A is better."""
    folder = tmp_path_factory.mktemp("full")
    model = parrot(folder / "model", "[[7]]\nA")
    program = Path(sys.executable).with_name("transformers")
    with serving([str(program), "serve", str(model), "--device", "cpu"], folder / "log.txt") as endpoint:
        llm = {"model": str(model), "endpoint": endpoint, "concurrency": 4, "api_key_env": "UNSET_KEY"}
        settings = {
            "answering": {"by": "llm", "generate": {"max_new_tokens": 8}},
            "llms": {"judge": llm, "candidate": llm},
            "mt_bench": {"sampling": {"max_tokens": 8}},
            "alpaca_eval": {"top_logprobs": None, "sampling": {"max_tokens": 8}},
            "artifacts": str(folder / "artifacts"),
        }
        (folder / "eval.yaml").write_text(yaml.safe_dump(settings))
        yield folder / "eval.yaml"


def score(benchmark: str, config: Path, out: Path) -> dict[str, Any]:
    words = ["eval", benchmark, "--model", "candidate", "--config", str(config), "--out", str(out), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])["models"]["candidate"]


@pytest.fixture(autouse=True)
def upstream(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TACOS_ASSETS", str(shared / "assets"))


def test_mt_bench_loses_no_turn(config: Path, tmp_path: Path) -> None:
    found = score("mt-bench", config, tmp_path)
    assert (found["judged"], found["expected"], found["missing"], found["unparsed"]) == (160, 160, 0, 0)
    assert (found["average"], found["turn_1"], found["turn_2"]) == (7.0, 7.0, 7.0)
    assert len((tmp_path / "judgments.jsonl").read_text().splitlines()) == 160
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 80


def test_alpaca_eval_loses_no_row(config: Path, tmp_path: Path) -> None:
    found = score("alpaca-eval", config, tmp_path)
    assert (found["n"], found["expected"], found["missing"], found["unparsed"]) == (805, 805, 0, 0)
    rows = json.loads((tmp_path / "annotations.json").read_text())
    assert all(row["preference"] == (2 if row["model_first"] else 1) for row in rows)  # A is the first shown
    assert found["win_rate"] == pytest.approx(100 * sum(row["model_first"] for row in rows) / 805)
    assert found["length_controlled_winrate"] is not None
