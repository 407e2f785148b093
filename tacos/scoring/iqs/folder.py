"""A trained scorer as a folder: its weights, and `card.json` that says what it is.

The card is written last, so a folder without one is no model. Its fingerprint covers the content of every
other file, kind, version and settings; where the folder lies, and on what machine, is no part of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from tacos.errors import TacosError, first_line
from tacos.models.embedder import Embedder
from tacos.models.flops import watch
from tacos.scoring.iqs.base import Kind, QualityScorer
from tacos.scoring.iqs.pairs import QualityPairs
from tacos.scoring.iqs.text import common_words
from tacos.store.files import cannot_write, read_json, write_json
from tacos.store.fingerprint import file_digest, fingerprint
from tacos.types import Record
from tacos.usage import Ledger

CARD = "card.json"
VERSION = 2
"""Raise it when a folder of before can no longer be read, or would score otherwise."""


class Card(Record):
    """What a model folder is."""

    format: Literal["tacos-iqs"] = "tacos-iqs"
    version: int = VERSION
    kind: Kind
    settings: dict[str, Any]
    fingerprint: str
    """16 hex digits; two models of the same name score alike."""
    trained_on: str
    """The files the pairs came from."""
    pairs: list[str]
    """Names of the pairs it was trained on (`QualityPairs.names`), so that nobody tests on them unaware."""
    common_words: list[str]
    """The commonest words of the pairs: a pool that has few of them is in another language."""
    seed: int
    metrics: dict[str, Any]


def save(
    scorer: QualityScorer,
    folder: Path,
    pairs: QualityPairs,
    seed: int,
    metrics: dict[str, Any],
) -> Card:
    """Raises: TacosError when the folder holds something else, or cannot be written."""
    free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CARD).unlink(missing_ok=True)
        scorer.write(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    settings = scorer.settings.model_dump(mode="json")
    card = Card(
        kind=scorer.kind,
        settings=settings,
        fingerprint=_name(folder, scorer.kind, settings),
        trained_on=pairs.source,
        pairs=pairs.names(),
        common_words=common_words([*pairs.prompts, *pairs.better, *pairs.worse]),
        seed=seed,
        metrics=metrics,
    )
    write_json(folder / CARD, card)
    return card


def free(folder: Path) -> None:
    """Raises: TacosError when `folder` is a file, or holds anything but a quality scorer."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD).is_file():
        raise TacosError(
            f"{folder} holds other files: give --out a new folder, or one of an earlier training"
        )
    if folder.exists() and not folder.is_dir():
        raise TacosError(f"{folder} is a file: give --out a folder")


def load(
    folder: Path, embedder: Embedder | None = None, ledger: Ledger | None = None
) -> tuple[QualityScorer, Card]:
    """A scorer and its card. embedder: one at hand, used where its settings are the model's. ledger: where the passes
    of an encoder are counted.

    Raises: TacosError when the folder is no model, of another version, or damaged.
    """
    card = read_card(folder)
    if _name(folder, card.kind, card.settings) != card.fingerprint:
        raise TacosError(
            f"{folder} is damaged: its files are not those its {CARD} was written for; train it again"
        )
    try:
        return _open(folder, card, embedder, ledger), card
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TacosError(f"{folder} cannot be read: {first_line(error)}; train it again") from error


def read_card(folder: Path) -> Card:
    """Raises: TacosError when there is none, or it is of another version."""
    path = folder / CARD
    if not path.is_file():
        raise TacosError(
            f"{folder} is not a quality scorer: it has no {CARD}; make one with `tacos iqs train`"
        )
    try:
        data = read_json(path)
    except ValueError as error:
        raise TacosError(f"{path} is damaged ({error}); train it again") from error
    given = data.get("version") if isinstance(data, dict) else None
    if not isinstance(data, dict) or data.get("format") != "tacos-iqs":
        raise TacosError(f"{path} is not the card of a quality scorer: give a folder of `tacos iqs train`")
    if given != VERSION:
        raise TacosError(
            f"{folder} is of version {given}; this tacos reads version {VERSION}: train it again"
        )
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        raise TacosError(
            f"{path} is damaged: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
        ) from error


def _open(folder: Path, card: Card, embedder: Embedder | None, ledger: Ledger | None) -> QualityScorer:
    if card.kind == "light":
        from tacos.scoring.iqs.light import LightScorer, LightSettings

        settings = LightSettings.model_validate(card.settings)
        fits = embedder is not None and embedder.settings.identity() == settings.embedder.identity()
        return LightScorer.open(folder, settings, embedder if fits else None)
    from tacos.scoring.iqs.encoder import EncoderScorer, EncoderSettings

    made = EncoderScorer.open(folder, EncoderSettings.model_validate(card.settings))
    if ledger is not None:
        watch(made.network.encoder, ledger)
    return made


def _name(folder: Path, kind: str, settings: dict[str, Any]) -> str:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != CARD)
    content = {str(p.relative_to(folder).as_posix()): file_digest(p) for p in files}
    return fingerprint({"kind": kind, "version": VERSION, "settings": _identity(settings), "files": content})


def _identity(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without what says where and in what portions a scorer runs."""
    kept = {key: value for key, value in settings.items() if key not in ("device", "batch_rows")}
    if "embedder" in kept:
        kept["embedder"] = {
            k: v for k, v in kept["embedder"].items() if k not in ("device", "batch_tokens", "workers", "ray")
        }
    return kept
