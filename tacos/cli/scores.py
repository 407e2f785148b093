"""Where scores of `tacos eval` go: the terminal, JSON, a report, W&B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tacos.cli.console import print_json
from tacos.cli.tracked import RUNS, track_command, track_file
from tacos.errors import TacosError

if TYPE_CHECKING:
    from eval.mt_bench.pairs import ModelPairScores
    from eval.mt_bench.score import SingleScores
    from eval.report.scores import ScorePaths
    from tacos.pipeline.evaluate import Evaluation
    from tacos.tracking.tracker import Tracker

SHOWN = 10
"""Notes spelled out on the terminal; all of them stand in the report."""
Files = list[Path] | None


@dataclass(frozen=True)
class Shown:
    """Where results go. least: share of what is expected that must be judged for exit code 0."""

    out: Path | None
    as_json: bool
    least: float
    run: Evaluation | None = None
    tracker: Tracker | None = None

    @property
    def folder(self) -> Path:
        return self.out or Path()

    def into(
        self, run: Evaluation, benchmark: str, model: str | None, name: str | None = None, files: Files = None
    ) -> tuple[Shown, str]:
        """The same with a folder for the files of a run, and what its model is called; where there is no `model`, it
        is called like the first of `files`."""
        from tacos.store.names import as_file_name

        path = Path(model or (files or [Path()])[0].stem)
        label = name or (path.parent.name if path.name == "model" and path.parent.name else path.name)
        out = self.out or Path(run.settings.runs) / f"{benchmark}-{as_file_name(label)}"
        return self.kept_in(out, run, benchmark, label, [model, *map(str, files or ())]), label

    def kept_in(
        self, out: Path | None, run: Evaluation, benchmark: str = "", label: str = "", asked: object = None
    ) -> Shown:
        """The same with a folder, the settings of a run and its W&B run; what is wrong with W&B is said here, before
        anything is paid. asked: of what answers or judgments are made."""
        from tacos.store.fingerprint import plain

        settings = run.settings
        tracker = track_command(
            settings.tracking,
            out or RUNS,
            "eval",
            out.name if out else benchmark,
            [benchmark, label, asked, plain(settings)],
            {"benchmark": benchmark, "model": label, **plain(settings)},
            (f"benchmark:{benchmark}", f"model:{label}"),
            run.tools.ledger,
        )
        if tracker.problem:
            typer.echo(f"note: Weights & Biases will be left out: {tracker.problem}", err=True)
        return replace(self, out=out, run=run, tracker=tracker)

    def single(self, scores: SingleScores) -> None:
        self.finish("MT-Bench", [scores], {name: score.coverage for name, score in scores.models.items()})

    def pairs(self, scores: ModelPairScores) -> None:
        rated = [scores.ratings] if scores.ratings else []
        coverage = {f"{pair.model_1} v {pair.model_2}": pair.coverage for pair in scores.pairs}
        self.finish("MT-Bench pairs", [scores, *rated], coverage)

    def finish(self, title: str, scores: Sequence[Any], coverage: dict[str, float]) -> None:
        """Print, and write the report where there is a folder for it. The first of `scores` holds all the rest.

        Raises: TacosError when too little was judged.
        """
        written = self.write(title, scores) if self.out else None
        if self.as_json:
            whole = scores[0]
            print_json(whole.as_json() if hasattr(whole, "as_json") else whole)
        else:
            show(scores, written.html if written else None)
        self.track(title, scores, written)
        low = {name: share for name, share in coverage.items() if share < self.least}
        if low:
            said = ", ".join(f"{name} {share:.1%}" for name, share in low.items())
            raise TacosError(
                f"too little was judged (coverage {said}; at least {self.least:.0%} is asked for): complete the "
                "files, or give --allow-incomplete"
            )

    def write(self, title: str, scores: Sequence[Any]) -> ScorePaths:
        """Report, tables and plots into the folder."""
        from eval.report.scores import write_score_report

        return write_score_report(self.folder, title, scores)

    def track(self, title: str, scores: Sequence[Any], written: ScorePaths | None) -> None:
        """The same to W&B, after the scores are printed: what goes wrong there is a note. Of several models each has a
        run of its own beside that of the command."""
        from eval.report.scores import figures_of, track_scores
        from tacos.store.fingerprint import plain
        from tacos.tracking.settings import TrackingSettings

        settings = self.run.settings.tracking if self.run else TrackingSettings()
        folder = self.out or RUNS
        name = self.out.name if self.out else title
        tracker, figures = self.tracker, figures_of(scores)
        if tracker is None:
            config = {"benchmark": title, "models": list(figures)}
            tracker = track_command(settings, folder, "eval", name, [title, plain(figures)], config)
        was_known = bool(tracker.problem)
        track_scores(tracker, scores, written)
        for path in (written.scores, *sorted(folder.glob("*judgments.jsonl"))) if written else ():
            track_file(tracker, "results" if path.name == "scores.json" else "judgments", path)
        grouped = settings.model_copy(update={"group": settings.group or settings.name or name, "name": None})
        for model, values in figures.items() if len(figures) > 1 else ():
            config = {"benchmark": title, "model": model}
            tags = (f"benchmark:{title}", f"model:{model}")
            own = track_command(grouped, folder, "eval", model, [title, model, plain(values)], config, tags)
            own.summary(values)
        if tracker.problem and not was_known:
            typer.echo(f"note: Weights & Biases is left out: {tracker.problem}", err=self.as_json)


def show(scores: Sequence[Any], report: Path | None) -> None:
    """Tables, then what could not be counted."""
    from eval.report import console
    from eval.report.scores import advice_of, console_tables, problems_of

    for score in scores:
        for table in console_tables(score):
            console.show(table)
        for line in advice_of(score):
            typer.echo(line)
        problems = problems_of(score)
        for problem in problems[:SHOWN]:
            typer.echo(f"note: {problem}")
        if len(problems) > SHOWN:
            typer.echo(f"note: and {len(problems) - SHOWN:,} more; all are in a report (--out)")
    if report:
        typer.echo(f"report: {report}")
