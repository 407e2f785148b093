"""`tacos eval ...`: benchmarks of a model, scores of stored judgments, and what a judge is worth.

Scoring stored files needs no key. Every command shows what it could not count, and exits with 1 when less
than `--min-coverage` of what is expected was judged, unless `--allow-incomplete` is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tacos.cli.console import (
    AsJson,
    GoOn,
    Overrides,
    RetryFailed,
    assets,
    command,
    exactly_one,
    number,
    one_of,
    plain_name,
    read_settings,
)
from tacos.cli.scores import Files, Shown
from tacos.errors import ConfigError

if TYPE_CHECKING:
    from eval.mt_bench.pairs import Lengths
    from eval.pairwise.reviews import ReviewFile
    from tacos.answering.judge import PairJudge
    from tacos.pipeline.evaluate import Evaluation
    from tacos.types import Question

LEAST_COVERAGE = 0.95
"""Below this share of what is expected, figures are not the benchmark's."""
app = typer.Typer(no_args_is_help=True, help="Benchmarks, scores of stored judgments, checks of judges.")

Model = Annotated[
    str | None, typer.Option(help="Hub id, folder, or a name under `llms` with answering.by=llm")
]
Name = Annotated[
    str | None, typer.Option(help="What the model is called; the last part of --model when unset")
]
Out = Annotated[Path | None, typer.Option(help="Folder for answers, judgments, tables, plots and the report")]
Config = Annotated[Path | None, typer.Option(help="Settings, such as configs/eval/judge.yaml")]
Against = Annotated[str | None, typer.Option(help="A model that all others are compared with, by question")]
AllowIncomplete = Annotated[bool, typer.Option("--allow-incomplete", help="Exit with 0 at any coverage.")]
MinCoverage = Annotated[
    float, typer.Option(min=0, max=1, help="Share of what is expected that must be judged")
]


@command(app)
def mt_bench(
    overrides: Overrides = None,
    model: Model = None,
    answers: Annotated[Files, typer.Option(help="Answer files, FastChat's JSONL, to be judged")] = None,
    judgments: Annotated[Files, typer.Option(help="Stored single judgments, FastChat's JSONL")] = None,
    pair_judgments: Annotated[Files, typer.Option(help="Stored pair judgments, FastChat's JSONL")] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="With --answers: compare every two models, in both orders")
    ] = False,
    parser: Annotated[
        str, typer.Option(help='"stored" scores, or the replies read anew: "last", "fastchat"')
    ] = "stored",
    against: Against = None,
    name: Name = None,
    config: Config = None,
    out: Out = None,
    allow_incomplete: AllowIncomplete = False,
    min_coverage: MinCoverage = LEAST_COVERAGE,
    retry_failed: RetryFailed = False,
    go_on: GoOn = False,
    as_json: AsJson = False,
) -> None:
    """MT-Bench: answer and judge with --model, judge --answers, or score stored judgments."""
    given = {"--model": model, "--answers": answers, "--judgments": judgments}
    exactly_one(given | {"--pair-judgments": pair_judgments})
    read_by: Any = one_of("--parser", parser, ("stored", "last", "fastchat"))
    if pairs and not answers:
        raise ConfigError("--pairs goes with --answers, whose models it compares")
    if against and (pairs or pair_judgments):
        raise ConfigError(
            "--against compares ratings, and pairs of models are compared already: leave it out, or give "
            "--answers or --judgments without --pairs"
        )
    shown = Shown(out, as_json, 0.0 if allow_incomplete else min_coverage)
    if model or answers:
        wanted = [f"mt_bench.parser={parser}"] if parser != "stored" else []
        run = evaluation(config, [*(overrides or []), *wanted], retry_failed, go_on)
        shown, label = shown.into(run, "mt-bench", model, name, answers)
        files = [run.answer_mt_bench(model, label, shown.folder)] if model else answers or []
        if pairs:
            shown.pairs(run.compare_mt_bench(files, shown.folder))
        else:
            shown.single(run.rate_mt_bench(files, shown.folder, against))
    elif pair_judgments:
        from eval.mt_bench.pairs import score_pairs

        shown.pairs(score_pairs(pair_judgments, read_by=read_by, lengths=known_lengths()))
    else:
        from eval.mt_bench.score import score_single

        shown.single(score_single(judgments or [], read_by=read_by, against=against))


@command(app)
def alpaca_eval(
    overrides: Overrides = None,
    model: Model = None,
    outputs: Annotated[Files, typer.Option(help="Outputs of models, AlpacaEval's JSON, to be judged")] = None,
    annotations: Annotated[Files, typer.Option(help="Stored annotations, AlpacaEval's JSON")] = None,
    join: Annotated[
        str, typer.Option(help='"instruction", or "position" as in published figures of incomplete files')
    ] = "instruction",
    c: Annotated[str, typer.Option(help='Regularisation: "cv", "published", or a number')] = "cv",
    against: Against = None,
    name: Name = None,
    config: Config = None,
    out: Out = None,
    allow_incomplete: AllowIncomplete = False,
    min_coverage: MinCoverage = LEAST_COVERAGE,
    retry_failed: RetryFailed = False,
    go_on: GoOn = False,
    as_json: AsJson = False,
) -> None:
    """AlpacaEval 2: answer and judge with --model, judge --outputs, or score stored annotations."""
    exactly_one({"--model": model, "--outputs": outputs, "--annotations": annotations})
    joined: Any = one_of("--join", join, ("instruction", "position"))
    strength: Any = c if c in ("cv", "published") else number("--c", c)
    shown = Shown(out, as_json, 0.0 if allow_incomplete else min_coverage)
    if model or outputs:
        run = evaluation(config, overrides, retry_failed, go_on)
        shown, label = shown.into(run, "alpaca-eval", model, name, outputs)
        files = [run.answer_alpaca_eval(model, label, shown.folder)] if model else outputs or []
        result = run.annotate_alpaca_eval(files, shown.folder, joined, strength, against)
    else:
        from eval.alpaca_eval.files import known_reference
        from eval.alpaca_eval.score import score_files

        result = score_files(annotations or [], known_reference(assets()), joined, strength, against)
    shown.finish("AlpacaEval 2", [result], {name: score.coverage for name, score in result.models.items()})


@command(app)
def pairwise(
    overrides: Overrides = None,
    reviews: Annotated[Files, typer.Option(help="Stored two-order reviews, Cherry's or TACOS's JSON")] = None,
    answers: Annotated[Files, typer.Option(help="Two answer files, to be judged in both orders")] = None,
    question_set: Annotated[
        str | None,
        typer.Option("--set", help="vicuna, koala, wizardlm, sinstruct, lima, pandalm, coachlm, or your own"),
    ] = None,
    questions: Annotated[Path | None, typer.Option(help="Question file of a set of your own")] = None,
    rule: Annotated[
        str, typer.Option(help='How two orders combine: "lenient" (the papers\'), "strict"')
    ] = "lenient",
    unparsed: Annotated[
        str, typer.Option(help='Unread verdicts: "count" them, or "tie" (the papers\')')
    ] = "count",
    config: Config = None,
    out: Out = None,
    allow_incomplete: AllowIncomplete = False,
    min_coverage: MinCoverage = LEAST_COVERAGE,
    retry_failed: RetryFailed = False,
    go_on: GoOn = False,
    as_json: AsJson = False,
) -> None:
    """Win, tie, lose over question sets: judge two models' answers, or score stored reviews."""
    from eval.pairwise.reviews import read_reviews, write_reviews
    from eval.pairwise.score import score_reviews

    exactly_one({"--reviews": reviews, "--answers": answers})
    how: Any = (
        one_of("--rule", rule, ("lenient", "strict")),
        one_of("--unparsed", unparsed, ("count", "tie")),
    )
    shown, made = Shown(out, as_json, 0.0 if allow_incomplete else min_coverage), None
    if answers:
        if len(answers) != 2 or not question_set:
            raise ConfigError("give two files to --answers, and the question set they answer to --set")
        plain_name("--set", question_set)
        run = evaluation(config, overrides, retry_failed, go_on)
        shown, _ = shown.into(run, "pairwise", question_set)
        made = run.review(answers, question_set, questions)
        reviews = [shown.folder / f"reviews_{question_set}.json"]
        write_reviews(reviews[0], made.file)
    files = [read_reviews(path) for path in reviews or []]
    scores = score_reviews(files, known_questions(files, questions), *how)
    scores = scores if made is None else made.noted(scores)
    shown.finish("Pairwise reviews", [scores], {name: score.coverage for name, score in scores.sets.items()})


@command(app)
def judge_check(
    pairs: Annotated[
        Path,
        typer.Option(help="Labelled pairs: instruction, output_1, output_2, label, or a public set's file"),
    ],
    overrides: Overrides = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(help='Names under `llms`, "reference", or "longer"; the settings\' `judge` when unset'),
    ] = None,
    difference: Annotated[
        float,
        typer.Option(help="How far above 50% a win rate lies that questions are counted for, as a share"),
    ] = 0.05,
    config: Config = None,
    out: Out = None,
    retry_failed: RetryFailed = False,
    go_on: GoOn = False,
    as_json: AsJson = False,
) -> None:
    """How far judges can be trusted on labelled pairs, which one to take, and how many questions it needs."""
    from eval.judge_check.labelled_pairs import read_labelled_pairs
    from eval.judge_check.recommend import check_judges

    if not 0 < difference <= 0.5:
        raise ConfigError(f"--difference {difference:g}: give a share above 0, up to 0.5; 0.05 is 55% v 50%")
    labelled, shown, run = read_labelled_pairs(pairs), Shown(out, as_json, 0.0), None
    if judge is None or set(judge) != {"longer"}:
        run = evaluation(config, overrides, retry_failed, go_on)
    names = list(dict.fromkeys(judge or ([run.settings.judge] if run else [])))
    asked = judges_of(names, run)
    if run is not None:
        shown = shown.kept_in(out, run, "judge-check", ", ".join(names), [str(pairs), difference])
    shown.finish("Judge check", [check_judges(asked, labelled, difference=difference)], {})


def judges_of(names: Sequence[str], run: Evaluation | None) -> dict[str, PairJudge]:
    """What a judge is called in a report -> the judge. run: None where "longer" is the only name.

    Raises: ConfigError for a name that is not configured, before any judge is asked.
    """
    from eval.judge_check.check import LongerJudge

    made: dict[str, PairJudge] = {
        name: run.pair_judge(name) if run and name != "longer" else LongerJudge() for name in names
    }
    called = Counter(judge.name for judge in made.values())
    return {
        judge.name if called[judge.name] == 1 else f"{name}: {judge.name}": judge
        for name, judge in made.items()
    }


def evaluation(
    config: Path | None,
    overrides: Sequence[str] | None,
    retry_failed: bool = False,
    go_on: bool = False,
) -> Evaluation:
    """The settings of a config file with overrides, and what works by them.

    retry_failed: replies of an earlier run that cannot be read are asked for anew. go_on: those that a damaged cache
        lost, too.
    """
    return evaluation_of(read_settings(config, overrides), retry_failed, go_on)


def evaluation_of(data: dict[str, Any], retry_failed: bool = False, go_on: bool = False) -> Evaluation:
    """The same of settings that are read."""
    from tacos.config import parse
    from tacos.pipeline.evaluate import EvaluateSettings, Evaluation
    from tacos.pipeline.tools import make_tools
    from tacos.usage import Ledger

    settings = parse(EvaluateSettings, data)
    return Evaluation(settings, assets(), make_tools(settings, Ledger(), retry_failed, go_on))


def known_lengths() -> Lengths | None:
    """What reads answer lengths off stored prompts, where the prompts are at hand without a download."""
    from eval.mt_bench.prompts import lengths_from_prompts, read_prompts

    found = assets()
    if found.folder is None:
        return None
    return lengths_from_prompts(read_prompts(found.path("mt_bench/judge_prompts.jsonl")))


def known_questions(files: Sequence[ReviewFile], own: Path | None) -> dict[str, list[Question]]:
    """Questions of the reviewed sets, from `own` or from the assets folder; a set without them is left out."""
    from eval.pairwise.five_sets import SETS
    from eval.questions import read_questions

    names = {file.set_name for file in files}
    if own is not None:
        return {name: read_questions(own) for name in names}
    folder = assets().folder
    paths = {name: folder / SETS[name].file for name in names if name in SETS} if folder else {}
    return {name: read_questions(path) for name, path in paths.items() if path.is_file()}
