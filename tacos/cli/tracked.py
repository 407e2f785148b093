"""The Weights & Biases run of one command: it begins before the work, and ends with the command's exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacos.cli.console import during

if TYPE_CHECKING:
    from tacos.answering.answer_file import AnswerRun
    from tacos.answering.candidate import GenerateSettings
    from tacos.pipeline.evaluate import Evaluation
    from tacos.tracking.settings import TrackingSettings
    from tacos.tracking.tracker import Tracker
    from tacos.types import Question
    from tacos.usage import Ledger

RUNS = Path("runs")
"""Where W&B keeps the files of a command that writes into no folder."""


def track_command(
    settings: TrackingSettings,
    folder: Path,
    job: str,
    name: str,
    made_from: Any,
    config: Mapping[str, Any],
    tags: tuple[str, ...] = (),
    ledger: Ledger | None = None,
) -> Tracker:
    """made_from: what decides the result; the same is the same run. ledger: whose calls are told live, beside how far
    loops are."""
    from tacos.stage import made_with
    from tacos.store.fingerprint import fingerprint, plain
    from tacos.tracking.live import Live
    from tacos.tracking.tracker import TrackedRun, Tracker

    called = settings.name or name
    shown = TrackedRun(
        id=f"{job}-{fingerprint(plain(made_from))}",
        name=called,
        group=settings.group or called,
        job=job,
        tags=tags,
    )
    tracker = during(Tracker(settings, folder, shown, {**plain(config), **made_with()}))
    if ledger is not None:
        during(Live(tracker, ledger))
    return tracker


def track_file(tracker: Tracker, kind: str, path: Path) -> None:
    """A file that the command wrote, as an artifact named by its content."""
    from tacos.store.fingerprint import file_digest
    from tacos.tracking.tracker import Artifact

    if path.is_file():
        name = f"{kind}-{file_digest(path)[:16]}"
        tracker.keep(Artifact(name=name, type=kind, files={path.name: path}))


def track_generation(
    run: Evaluation, model: str, file: Path, how: GenerateSettings, questions: Sequence[Question], out: Path
) -> Tracker:
    """Of answers to the questions of a file."""
    from tacos.store.fingerprint import named_by_content, plain

    return track_command(
        run.settings.tracking,
        out.parent,
        "answer",
        out.stem,
        [named_by_content(model), how, run.settings.seed, questions],
        {"model": model, "questions": str(file), **plain(run.settings), "generate": plain(how)},
        (f"model:{Path(model).name}",),
        run.tools.ledger,
    )


def track_answers(tracker: Tracker, questions: Sequence[Question], made: AnswerRun, out: Path) -> None:
    """Questions and answers beside each other, and the file as an artifact."""
    asked = {question.id: question for question in questions}
    rows = [
        {
            "id": answer.question_id,
            "category": asked[answer.question_id].category,
            "question": "\n\n".join(asked[answer.question_id].turns),
            "answer": "\n\n".join(answer.turns),
            "reference": asked[answer.question_id].reference,
        }
        for answer in made.answers
        if answer.question_id in asked
    ]
    tracker.table("answers", rows)
    counts = {
        "n": len(made.answers),
        "kept": made.kept,
        "failed": len(made.failed),
        "faulty": made.faults.faulty,
    }
    tracker.summary({f"answers/{name}": count for name, count in counts.items()})
    track_file(tracker, "answers", out)
