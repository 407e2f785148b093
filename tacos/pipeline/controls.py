"""The rows that a table of selections cannot do without, added to an experiment that does not name them.

    random           what selecting is worth at all
    length-matched   what length alone explains: a draw with the lengths of the arm that the experiment is about
    full             what leaving rows out costs
    zero-shot        what training is worth

`controls` says which; an arm of one of these methods, whatever its name, is taken for it. Each seed draws anew, so
three seeds are three draws. What is left out, the report says. Without training there is no full or zero-shot arm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

Control = Literal["random", "length-matched", "full", "zero-shot"]
CONTROLS: tuple[Control, ...] = get_args(Control)


def controls_of(trains: bool) -> tuple[Control, ...]:
    """Those that an experiment can have."""
    return CONTROLS if trains else ("random", "length-matched")


def with_controls(said: Any) -> Any:
    """Settings of an experiment whose arms include its controls. What cannot be read is left to its own check."""
    if not isinstance(said, Mapping) or not isinstance(said.get("arms"), Mapping):
        return said
    wanted = said.get("controls", CONTROLS)
    arms = dict(said["arms"])
    if not isinstance(wanted, Sequence) or not all(isinstance(arm, Mapping) for arm in arms.values()):
        return said
    for name in controls_of(trains=said.get("train", {}) is not None):
        if name in wanted and name not in methods(arms) and name not in arms:
            arms |= _control(name, said, arms)
    return {**said, "arms": arms}


def added_line(said: Mapping[str, Any]) -> str:
    """Which arms `with_controls` adds to a config, since they cost as much as those that are asked for; "" for none."""
    added = [name for name in with_controls(said).get("arms") or () if name not in said["arms"]]
    return f"controls added to the arms: {', '.join(added)}; controls=[] adds none" if added else ""


def methods(arms: Mapping[str, Any]) -> set[str]:
    return {str(arm.get("method")) for arm in arms.values()}


def _control(name: Control, said: Mapping[str, Any], arms: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing for a length-matched draw where no arm selects."""
    if name != "length-matched":
        return {name: {"method": name}}
    given = (
        [str(said["focus"])] if said.get("focus") else [arm for arm in arms if arm != said.get("baseline")]
    )
    like = next((arm for arm in given if arm in arms and _selects(arms[arm])), None)
    if like is None:
        return {}
    budget = {"budget": arms[like]["budget"]} if arms[like].get("budget") else {}
    return {name: {"method": name, "allocate": {"like": like}, **budget}}


def _selects(arm: Mapping[str, Any]) -> bool:
    """Whether it has rows of its own choice."""
    return not arm.get("model") and arm.get("method") not in CONTROLS
