"""How others had models answer, by name: `generate: {preset: tacos}`; settings beside the name go before it.

fastchat   MT-Bench's own: a temperature for each category, 1,024 tokens
tacos      the released script of TACOS's authors: temperature 0.7 whatever the category, 512 tokens, questions in
           the Alpaca preamble (MT-Bench was answered without it: `{preset: tacos, wrap: none}`)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.errors import nearest

TEMPERATURES: Mapping[str, float] = {
    **dict.fromkeys(("writing", "roleplay"), 0.7),
    **dict.fromkeys(("stem", "humanities"), 0.1),
    **dict.fromkeys(("math", "coding", "reasoning", "extraction"), 0.0),
}
"""FastChat's, by category of MT-Bench."""
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "fastchat": {"temperatures": dict(TEMPERATURES), "max_new_tokens": 1024},
    "tacos": {"temperature": 0.7, "max_new_tokens": 512, "wrap": "alpaca"},
}


def with_preset(said: Any) -> Any:
    """Settings with those of the preset they name filled in. Raises: ValueError for an unknown name."""
    if not isinstance(said, Mapping) or "preset" not in said:
        return said
    name = said["preset"]
    own = {key: value for key, value in said.items() if key != "preset"}
    if name is None:
        return own
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}: {nearest(str(name), PRESETS)}")
    return {**PRESETS[name], **own}
