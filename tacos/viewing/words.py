"""A sample's story in words, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tacos.types import Message

if TYPE_CHECKING:
    from tacos.viewing.story import ArmStory, InGroup, Meeting, SampleStory

MOST = 400
"""Characters of a text that are shown."""


def why(story: ArmStory) -> str:
    """Why the arm took the sample, or did not."""
    if story.selected:
        at = f" of {story.selected_group!r}" if story.selected_group else ""
        score = f", score {_score(story.score, story.std_error)}" if story.score is not None else ""
        return f"selected at rank {story.rank:,} of {story.budget:,}: {story.reason}{at}{score}"
    if story.grouped and not story.groups:
        return f"not selected: it stands in no group{_untagged(story)}"
    if story.error is not None:
        return f"not selected: it has no score ({story.error})"
    if story.score is None:
        return f"not selected: {story.budget:,} other rows were drawn or chosen without a score"
    score = _score(story.score, story.std_error)
    found = (
        [_in_group(group, score) for group in story.groups] if story.by_group else [_in_pool(story, score)]
    )
    return f"not selected: {'; '.join(found)}"


def _untagged(story: ArmStory) -> str:
    if story.tags_error is not None:
        return f", for it was not tagged ({story.tags_error})"
    return ", for normalization left it no tag" if story.tags_before and story.tags_after == [] else ""


def _in_pool(story: ArmStory, score: str) -> str:
    came = f"it came {_ordinal(story.place)} of {story.scored:,} with {score}"
    return _beside_last(came, story, story.budget, story.lowest_selected)


def _in_group(found: InGroup, score: str) -> str:
    if found.place is None:
        return f"in {found.label!r} it has no score; {found.selected:,} of {found.members:,} were taken"
    came = f"in {found.label!r} it came {_ordinal(found.place)} of {found.members:,} with {score}"
    return _beside_last(came, found, found.selected, found.lowest_selected)


def _beside_last(came: str, own: ArmStory | InGroup, taken: int, last: float | None) -> str:
    """own: its score, and how many rows share it. last: the lowest score that was taken; None where no row with a score
    was."""
    if last is None:
        return f"{came}; {taken:,} were taken"
    if own.score == last:
        share = f"{came}, a score that {own.shared:,} rows share"
        return f"{share}; {taken:,} were taken, and it lost a tie with the last of them"
    return f"{came}; {taken:,} were taken, the last with {last:.4g}"


def _score(value: float | None, error: float | None) -> str:
    return "no score" if value is None else f"{value:.4g}" + (f" +- {error:.2g}" if error is not None else "")


def _ordinal(place: int | None) -> str:
    if place is None:
        return "-"
    end = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place:,}{end}"


def lines(story: SampleStory) -> Iterator[str]:
    """The whole story, line by line."""
    yield story.id
    if story.sample is None:
        yield f"dropped before selecting: {story.dropped}"
        return
    yield from _messages(story.sample.messages)
    for arm in story.arms:
        yield ""
        yield f"{arm.arm if arm.seed is None else f'{arm.arm}, seed {arm.seed}'}: {arm.why}"
        if arm.tags_before is not None:
            after = f" -> {', '.join(arm.tags_after) or 'none left'}" if arm.tags_after is not None else ""
            none = "none" if arm.tags_error is None else f"none ({arm.tags_error})"
            yield f"  tags: {', '.join(arm.tags_before) or none}{after}"
        yield from map(_meeting, arm.meetings)
        if arm.rewritten:
            yield "  rewritten:"
            yield from (f"  {line}" for line in _messages(arm.rewritten))


def _meeting(found: Meeting) -> str:
    """ "  compared with s3 (98 : 74, ...)"."""
    others = ", ".join(f"{p.id} ({_number(p.score)})" for p in found.partners)
    own = f"{_number(found.score)}{', not counted' if found.guest else ''}"
    when = "late" if found.round < 0 else f"round {found.round + 1}"
    said = found.error or found.feedback
    return f"  {when}: {own} beside {others}{f': {_cut(said)}' if said else ''}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _messages(messages: tuple[Message, ...] | list[Message]) -> Iterator[str]:
    for message in messages:
        yield f"  {message.role}: {_cut(message.content)}"


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MOST else f"{flat[:MOST]} ... ({len(flat):,} characters)"
