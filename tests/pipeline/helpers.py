"""Small pools and scripted models for tests of whole paths."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Request
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM
from tacos.llm.settings import LLMSettings
from tacos.stage import Tools
from tacos.usage import Ledger
from tests.conftest import LetterEmbedder

TOPICS = ("poetry", "cooking", "algebra", "travel")


def write_pool(path: Path, n: int = 24) -> Path:
    """Alpaca rows over four topics; a later row of a topic has a longer answer."""
    rows = [
        {
            "source": f"set {i % 3}",
            "instruction": f"Tell me about {TOPICS[i % 4]} number {i}",
            "input": "",
            "output": f"Here is what I know of {TOPICS[i % 4]}: "
            + " ".join(f"fact{j}" for j in range(i // 4 + 1)),
        }
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def reply(request: Request) -> str:
    return reply_to(request.messages[-1].content)


def reply_to(text: str) -> str:
    """Tags by topic; compared or rated, a longer response scores higher; refined, every text becomes the same."""
    if "<refined>" in text:
        return "Too short.\n<refined>\nA better text.\n</refined>"
    if "<response_1>" in text:
        shown = re.findall(r"<response_[1-5]>\n(.*?)\n</response_[1-5]>", text, re.DOTALL)
        scores = [min(100, len(response)) for response in shown]
        if '"scores"' in text:
            return json.dumps({"feedback": "ok", "scores": scores})
        return json.dumps({"feedback": "ok", "score_1": scores[0], "score_2": scores[1]})
    if "<response>" in text:
        (response,) = re.findall(r"<response>\n(.*?)\n</response>", text, re.DOTALL)
        return json.dumps({"feedback": "ok", "score": min(100, len(response))})
    topic = next(t for t in TOPICS if t in text.rsplit("<prompt>", 1)[1])
    return f'```json\n[{{"tag": "{topic.title()}", "explanation": "asks for it"}}]\n```'


def scripted_tools(cache: Path, model: ScriptedLLM, **changes: Any) -> Tools:
    """Tools whose every LLM is the scripted one behind the real cache and ledger."""
    ledger = Ledger()
    prices = {"price_per_million_input": 1.0, "price_per_million_output": 2.0}
    settings = LLMSettings(backend="scripted", model="scripted", **prices, **changes)
    client = CachedLLM(model, ReplyCache(cache), ledger, settings)
    return Tools(ledger=ledger, embedder=LetterEmbedder, llm=lambda name: client, device="cpu")


LLM_TACOS: dict[str, Any] = {
    "group": {
        "by": "tags",
        "tagging": {"llm": "tagger"},
        "normalization": {"min_count": 1, "order": ["frequency", "rules"]},
        "clustering": {"k": 4},
    },
    "score": {"llm": "scorer"},
}
LLMS = {name: {"backend": "scripted", "model": "scripted"} for name in ("tagger", "scorer")}
