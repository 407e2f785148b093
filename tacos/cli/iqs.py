"""`tacos iqs ...`: CaR's instruction-pair quality scorer, trained on expert-revised pairs and measured on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tacos.cli.console import AsJson, Overrides, command, one_of, print_json
from tacos.cli.tracked import RUNS, track_command

if TYPE_CHECKING:
    from tacos.scoring.iqs.measure import Accuracy, PairReport

app = typer.Typer(no_args_is_help=True, help="CaR's quality scorer: train it on expert pairs, measure it.")
SHOWN = 5
"""Bad rows spelled out on the terminal."""


@command(app)
def train(
    pairs: Annotated[Path, typer.Option(help="Pairs: CSV (src, score or src, pos, neg) or JSONL")],
    out: Annotated[Path, typer.Option(help="Folder of the trained scorer")],
    overrides: Overrides = None,
    valid: Annotated[Path | None, typer.Option(help="Pairs to measure on, kept apart from training")] = None,
    scorer: Annotated[str, typer.Option(help='"light" (CPU, minutes) or "encoder" (the paper\'s)')] = "light",
    as_json: AsJson = False,
) -> None:
    """Train a quality scorer on pairs of a better and a worse response."""
    from tacos.config import override, parse
    from tacos.scoring.iqs.pairs import read_pairs
    from tacos.scoring.iqs.train import ScorerTrainSettings
    from tacos.scoring.iqs.train import train as fit

    kind: Any = one_of("--scorer", scorer, ("light", "encoder"))
    settings = parse(ScorerTrainSettings, override({}, overrides or []))
    given, held = read_pairs(pairs), read_pairs(valid) if valid else None
    tracker = track_command(
        settings.tracking,
        out.parent,
        "iqs",
        out.name,
        [kind, settings.model_dump(exclude={"tracking"}), given.names()],
        {"scorer": kind, "pairs": str(pairs), "valid": str(valid), **settings.model_dump(mode="json")},
        (f"scorer:{kind}", f"pairs:{pairs.name}"),
    )
    card = fit(kind, given, held, settings, out)
    tracker.summary({f"iqs/{name}": value for name, value in _numbers(card.metrics)})
    counts = {"pairs": len(given.pairs), "bad": len(given.bad), "tied_labels": given.ties}
    if as_json:
        print_json(
            {"out": str(out), "scorer": kind, "fingerprint": card.fingerprint, **counts, **card.metrics}
        )
        return
    for row in given.bad[:SHOWN]:
        typer.echo(f"{pairs} line {row.line} left out: {row.reason}", err=True)
    typer.echo(f"{kind} scorer, {len(given.pairs):,} pairs, {card.metrics['train_seconds']} s -> {out}")
    crossed = card.metrics.get("cross_validation")
    if crossed:
        typer.echo(_crossed(crossed))
    if held:
        from tacos.scoring.iqs.measure import PairReport

        typer.echo(f"{valid}: {_figures(PairReport.model_validate(card.metrics['valid']))}")


@command(app)
def eval_(
    model: Annotated[Path, typer.Option(help="Folder of `tacos iqs train`")],
    pairs: Annotated[Path, typer.Option(help="Pairs: CSV (src, score or src, pos, neg) or JSONL")],
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Measure a trained scorer on pairs: overall, length-matched, and beside "the longer wins"."""
    from tacos.config import override, parse
    from tacos.scoring.iqs.folder import load
    from tacos.scoring.iqs.measure import measure_scorer
    from tacos.scoring.iqs.pairs import read_pairs
    from tacos.scoring.iqs.train import ScorerTrainSettings

    settings = parse(ScorerTrainSettings, override({}, overrides or []))
    scorer, card = load(model)
    given = read_pairs(pairs)
    tracker = track_command(
        settings.tracking,
        RUNS,
        "iqs",
        f"{model.name}-{pairs.stem}",
        [card.fingerprint, given.names()],
        {"scorer": card.kind, "fingerprint": card.fingerprint, "pairs": str(pairs)},
        (f"scorer:{card.kind}", f"pairs:{pairs.name}"),
    )
    report = measure_scorer(scorer, given, frozenset(card.pairs))
    tracker.summary({f"iqs/{name}": value for name, value in _numbers(report.model_dump())})
    if as_json:
        print_json(report.model_dump() | {"scorer": card.kind, "fingerprint": card.fingerprint})
    else:
        typer.echo(_figures(report))
    if report.seen:
        typer.echo(
            f"{report.seen:,} of these {len(given.pairs):,} pairs were trained on: measure on others",
            err=True,
        )
    for row in given.bad[:SHOWN]:
        typer.echo(f"{pairs} line {row.line} left out: {row.reason}", err=True)


def _numbers(values: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    """Every number of a report, by its path: "valid/length_matched/pair_accuracy"."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{head}{name}/")
        elif isinstance(value, int | float):
            yield f"{head}{name}", value


def _figures(report: PairReport) -> str:
    close, apart = report.length_matched, report.distinct
    return (
        f"pair accuracy {_share(report.pair_accuracy)} over {report.n:,} pairs (the longer wins: "
        f"{_share(report.baselines.longer_wins)}, {_gain(report)}); length-matched {_share(close.pair_accuracy)} "
        f"over {close.n:,} ({_share(close.longer_wins)}, {_gain(close)}); sides of one prompt "
        f"{_share(report.same_prompt.pair_accuracy)} over {report.same_prompt.n:,}; "
        f"without {report.identical:,} identical pairs {_share(apart.pair_accuracy)} and "
        f"{_share(apart.length_matched.pair_accuracy)}; "
        f"{report.bad:,} bad rows, {report.unscored:,} unscored"
    )


def _crossed(crossed: dict[str, Any]) -> str:
    def spread(key: str) -> str:
        value = crossed[key]
        if value is None:
            return "-"
        error, sd = (f"{100 * value[name]:.1f}" for name in ("error", "sd"))
        return f"{_share(value['mean'])} ± {error} (sd over divisions {sd})"

    return (
        f"{crossed['folds']}-fold cross-validation of all {crossed['n']:,} pairs, {crossed['divisions']} divisions: "
        f"{spread('pair_accuracy')}, length-matched {spread('length_matched')} (the longer wins: "
        f"{_share(crossed['longer_wins'])}, {_share(crossed['longer_wins_length_matched'])})"
    )


def _gain(found: PairReport | Accuracy) -> str:
    """How far it is ahead of taking the longer: "+11.3 [+8.0, +14.6]"."""
    if found.gain is None or found.gain_ci is None:
        return "-"
    low, high = found.gain_ci
    return f"{100 * found.gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"
