"""The report: every section where there is data, honest wording where a method does not win."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eval.interval import Interval
from eval.report import format as fmt
from eval.report.arms import main_table
from eval.report.claims import claim
from eval.report.console import show
from eval.report.experiment import ReportPaths, console_table, write_report
from eval.report.gains import gains_table
from eval.report.layout import to_markdown
from eval.report.notices import budget_warnings, parts_sentence, protocol_notes, row_warnings
from eval.report.plots import draw
from eval.report.table import Cell, Table, pairs_table
from eval.report.text import headline
from eval.results import ArmMeasure, Results, RunMeasure, load_results
from tacos.usage import Usage
from tests.eval.fixtures import ARMS, interval, make_results

SMALL = tuple(arm for arm in ARMS if arm.name in ("tacos", "random", "car"))


class Page(HTMLParser):
    """Collects headings, what the page links to, the tags, the rows of the first table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.within = tag
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")
        ]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        if self.within == "h2" and data.strip():
            self.headings.append(data.strip())


@pytest.fixture(scope="module")
def full() -> Results:
    return make_results()


@pytest.fixture(scope="module")
def written(full: Results, tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    return write_report(full, tmp_path_factory.mktemp("run"))


def with_gain(mean: float, half: float, winning: float = 1.0, defect: float = 0.0, seeds: int = 3) -> Results:
    """A small experiment in which the leading arm's differences are the given ones."""
    results = make_results(arms=SMALL, seeds=seeds)
    measures = results.summary[0].measures
    changed = {
        "exact_match": measures["exact_match"].model_copy(update={"gain": interval(mean, half, 120)}),
        "winning_score": ArmMeasure(interval=interval(winning, half, 120)),
        "defect_rate": measures["defect_rate"].model_copy(update={"gain": interval(defect, half, 300)}),
    }
    lead = results.summary[0].model_copy(update={"measures": measures | changed})
    return results.model_copy(update={"summary": [lead, *results.summary[1:]]})


def test_results_json_is_the_dump(full: Results, written: ReportPaths) -> None:
    assert json.loads(written.results.read_text()) == full.model_dump(mode="json")
    assert load_results(written.results) == full


def test_html_is_one_file(written: ReportPaths) -> None:
    html = written.html.read_text()
    page = Page(html)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert not re.search(r"https?:", html)
    assert not page.tags & {"script", "link", "iframe", "object", "img"}
    assert not re.search(r"url\((?!#)|@import", html)
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html and "@media print" in html


def test_html_ids_are_unique_and_every_reference_leads_somewhere(written: ReportPaths) -> None:
    html = written.html.read_text()
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    targets = {link.removeprefix("#") for link in page.links if link} | set(
        re.findall(r"url\(#([^)]+)\)", html)
    )
    assert targets <= set(page.ids)


def test_html_has_every_section(written: ReportPaths) -> None:
    assert Page(written.html.read_text()).headings == [
        "What ran",
        "Arms",
        "Compared with random",
        "What was selected",
        "What the models learned",
        "Tags",
        "What it cost",
        "Equal-budget check",
        "Pool",
        "Where the numbers come from",
    ]


def test_plots_are_pictures_and_the_markdown_shows_each(written: ReportPaths) -> None:
    names = {
        "exact_match",
        "winning_score",
        "defects",
        "skills",
        "lengths",
        "frontier",
        "cost",
        "tags_1",
        "tags_2",
    }
    assert set(written.plots) == names
    markdown = written.markdown.read_text()
    for name, path in written.plots.items():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"](plots/{name}.png)" in markdown


def test_markdown_tables_have_even_rows(written: ReportPaths) -> None:
    for block in re.findall(r"(?:^\|.*\n)+", written.markdown.read_text(), re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1
    assert "\n\n\n\n" not in written.markdown.read_text()


def spellings(value: Any) -> set[str]:
    """Every way in which a report may write a number of results.json."""
    if isinstance(value, dict | list):
        found = [spellings(v) for v in (value.values() if isinstance(value, dict) else value)]
        return set().union(*found) if found else set()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return set()
    forms = (
        fmt.count,
        fmt.percent_number,
        fmt.points,
        fmt.score,
        fmt.loss,
        fmt.epochs,
        fmt.seconds,
        fmt.money,
        fmt.flops,
    )
    return {form(value).lstrip("$") for form in forms}


def test_every_number_of_the_main_table_is_in_results_json(full: Results, written: ReportPaths) -> None:
    """Votes are summed over seeds, prompt and completion tokens added; all else stands there as it is."""
    known = spellings(json.loads(written.results.read_text()))
    for arm in full.summary:
        runs = [r.measures for r in full.runs if r.arm == arm.arm and "winning_score" in r.measures]
        levels = ("win", "tie", "lose")
        known |= {fmt.count(sum(m["winning_score"].counts[name] for m in runs)) for name in levels}
    known |= {
        fmt.count(u.prompt_tokens + u.completion_tokens) for u in (r.selection_usage for r in full.runs)
    }
    for row in main_table(full).rows:
        for cell in row.cells[1:]:
            for number in re.findall(r"[+-]?\d[\d,.]*\d(?:e\d+)?|\d", f"{cell.text} {cell.sub}"):
                assert number in known, (row.arm, cell)


def test_main_table_says_what_the_summary_says(full: Results) -> None:
    table = main_table(full)
    assert [row.arm for row in table.rows][:2] == ["tacos-llm", "tacos"]  # best exact match first
    assert [row.arm for row in table.rows if row.marked] == ["random"]
    tacos = dict(zip([c.label for c in table.columns], table.rows[1].cells, strict=True))
    assert (tacos["defect rate"].text, tacos["defect rate"].sub) == ("12.0%", "[9.9, 14.1]")
    assert (tacos["exact match"].text, tacos["exact match"].sub) == ("61.2%", "[57.1, 65.3]")
    assert (tacos["money"].text, tacos["rows"].text, tacos["seconds"].text) == ("$0", "300", "41.8")
    zero_shot = dict(zip([c.label for c in table.columns], table.rows[-1].cells, strict=True))
    unknown = ("rows", "defect rate", "epochs", "steps", "loss tokens", "LLM calls", "money", "seconds")
    assert {zero_shot[name].text for name in unknown} == {"-"}


def test_bare_run_leaves_sections_out(tmp_path: Path) -> None:
    results = make_results(truth=False, training=False, tags=False)
    paths = write_report(results, tmp_path)
    assert set(paths.plots) == {"lengths", "cost"}
    headings = Page(paths.html.read_text()).headings
    assert headings == [
        "What ran",
        "Arms",
        "What was selected",
        "What it cost",
        "Pool",
        "Where the numbers come from",
    ]
    said = headline(results)
    assert said.verdict == "tacos selected 300 of 2,871 rows."
    assert "Nothing was trained" in said.paragraph and "defective is not known" in said.paragraph
    assert said.others == ""
    labels = {column.label for column in main_table(results).columns}
    assert not labels & {"defect rate", "exact match", "held-out loss", "winning score", "steps"}


def test_run_without_any_number_renders(tmp_path: Path) -> None:
    """Only a baseline that is not audited: nothing to compare, nothing to draw, still a report."""
    results = make_results(arms=SMALL, truth=False, training=False, tags=False)
    empty = {
        "summary": [s for s in results.summary if s.arm == "random"],
        "runs": [],
        "parts": {},
        "pool": {},
    }
    results = results.model_copy(update=empty)
    paths = write_report(results, tmp_path)
    assert paths.plots == {}
    assert "nothing to compare" in paths.html.read_text()


def test_headline_of_a_winner(full: Results) -> None:
    said = headline(full)
    assert (said.verdict, said.tone) == ("tacos is better than random on exact match.", "better")
    assert said.paragraph.startswith(
        "tacos selected 300 of 2,871 rows. Its defect rate is 12.0% against 37.4% for random"
        " (difference -25.4 points, 95% interval [-28.9, -21.9]): it holds fewer defects than random."
        " After training, exact match is 61.2% against 48.9% for random"
        " (difference +12.3 points, 95% interval [+8.3, +16.3]) over 3 seeds:"
    )
    assert "worse: longest (-4.2)" in said.others
    assert "no difference can be claimed for: full pool (+1.8)" in said.others
    assert "Before any tuning (zero-shot) exact match is 3.1%." in said.others


def test_headline_of_a_loser_is_as_plain() -> None:
    said = headline(with_gain(-0.08, 0.03, winning=0.8, defect=0.1))
    assert (said.verdict, said.tone) == ("tacos is worse than random on exact match.", "worse")
    assert "it holds more defects than random" in said.paragraph
    assert "answers worse than random's" in said.paragraph
    assert "the judge prefers random" in said.paragraph


@pytest.mark.parametrize("mean", [0.02, -0.02])
def test_headline_claims_nothing_when_the_interval_covers_zero(mean: float) -> None:
    said = headline(with_gain(mean, 0.05, winning=1 + mean, defect=mean))
    assert said.verdict == "No difference between tacos and random can be claimed on exact match."
    assert "so no difference can be claimed" in said.paragraph
    assert "no difference in defects can be claimed" in said.paragraph
    assert "no preference of the judge can be claimed" in said.paragraph
    assert not re.search(r"better|worse|fewer|prefers", said.paragraph)


def test_headline_is_about_the_first_arm_and_not_the_luckiest() -> None:
    results = make_results(arms=(SMALL[2], *SMALL[:2]))
    assert headline(results).verdict.startswith("car ")


def test_single_seed_says_what_its_intervals_leave_out(tmp_path: Path) -> None:
    results = make_results(arms=SMALL, seeds=1, tags=False, truth=False)
    assert "one seed, so the intervals cover questions only" in headline(results).paragraph
    paths = write_report(results, tmp_path)
    assert "there is one seed" in paths.markdown.read_text()
    assert "one seed" not in headline(make_results(arms=SMALL)).paragraph


def test_unequal_training_is_warned_of(tmp_path: Path) -> None:
    results = make_results(arms=SMALL, uneven=True, tags=False, truth=False)
    (line,) = budget_warnings(results)
    assert "in loss tokens" in line and "(tacos, seed 0)" in line
    assert "not trained equally" in headline(results).paragraph
    assert "Warning: The arms differ by" in write_report(results, tmp_path).html.read_text()
    assert budget_warnings(make_results(arms=SMALL)) == []


def with_runs(results: Results, arm: str, **changed: Any) -> Results:
    runs = [r.model_copy(update=changed) if r.arm == arm else r for r in results.runs]
    return results.model_copy(update={"runs": runs})


def test_rows_that_were_too_long_are_told(full: Results) -> None:
    trained = next(run.trained for run in full.runs if run.arm == "tacos")
    assert trained is not None
    few, many = (
        with_runs(
            full,
            "tacos",
            trained=trained.model_copy(update={"samples": 300, "dropped": out, "truncated": cut}),
        )
        for out, cut in ((3, 2), (40, 9))
    )
    assert not any("too long" in line for line in protocol_notes(few))
    (line,) = (line for line in protocol_notes(many) if "too long" in line)
    assert line == "Rows were too long for train.max_length: tacos (40 left out, 9 cut short, of 340)."


@pytest.mark.parametrize(("parameters", "told"), [(780_000, True), (8 * 10**9, False)])
def test_a_small_model_is_called_one(parameters: int, told: bool, tmp_path: Path) -> None:
    results = make_results(arms=SMALL)
    for run in results.runs:
        trained = run.trained and run.trained.model_copy(update={"parameters": parameters})
        results = with_runs(results, run.arm, trained=trained)
    assert ("0.78 million parameters" in write_report(results, tmp_path).markdown.read_text()) == told


def test_an_arm_without_a_readable_verdict_keeps_the_report(tmp_path: Path) -> None:
    counts = {"win": 0, "tie": 0, "lose": 0}
    unread = {"winning_score": RunMeasure(value=None, unread=120, counts=counts)}
    results = with_runs(make_results(arms=SMALL, seeds=1), "tacos", measures=unread)
    nothing = {"measures": {"winning_score": ArmMeasure(interval=None)}}
    results = results.model_copy(
        update={"summary": [results.summary[0].model_copy(update=nothing), *results.summary[1:]]}
    )
    paths = write_report(results, tmp_path)
    cells = cells_of(main_table(results), "tacos")
    assert (cells["win / tie / lose"].text, cells["winning score"].text) == ("-", "-")
    for text in (paths.markdown.read_text(), paths.html.read_text()):
        assert "tacos, seed 0, has no winning score: 120 questions unread and none read" in text
    assert "so there is no winning score" in headline(results).paragraph
    assert load_results(paths.results) == results


def test_failed_rows_are_warned_of(tmp_path: Path) -> None:
    results = with_runs(make_results(arms=SMALL), "tacos", failed={"tag": 12, "judge": 3})
    results = with_runs(results, "car", failed={"compare": 1200})
    (line,) = row_warnings(results)
    assert "rows that a stage could give no answer for" in line
    assert "tacos (tag 12, judge 3) and car (compare 1,200); nothing is invented for them." in line
    paths = write_report(results, tmp_path)
    assert line in paths.html.read_text() and f"> **Warning:** {line}" in paths.markdown.read_text()
    assert row_warnings(make_results()) == []


def test_failed_rows_that_differ_by_seed_are_a_range() -> None:
    results = make_results(arms=SMALL)
    results = results.model_copy(
        update={"runs": [results.runs[0].model_copy(update={"failed": {"judge": 4}}), *results.runs[1:]]}
    )
    assert "tacos (judge 0 to 4)" in row_warnings(results)[0]


def test_operations_of_selecting_stand_beside_those_of_training(full: Results) -> None:
    cells = cells_of(main_table(full), "tacos")
    assert (cells["FLOPs"].text, cells["training FLOPs"].text) == ("4.1e13", "6.8e11")
    assert cells_of(main_table(full), "zero-shot")["FLOPs"].text == "-"
    assert "and 4.1e13 FLOPs, beside 6.8e11 of training." in headline(full).paragraph
    assert [fmt.flops(v) for v in (None, 0, 2.04e6, 6.84e13, 1e20)] == ["-", "0", "2.0e6", "6.8e13", "1.0e20"]


def test_an_unknown_price_is_never_shown_as_free(tmp_path: Path) -> None:
    unpriced = Usage(calls=9, prompt_tokens=90, unpriced_calls=9, seconds=2.0)
    results = with_runs(make_results(arms=SMALL), "tacos", selection_usage=unpriced)
    results = with_runs(results, "car", selection_usage=Usage(calls=9, unpriced_calls=4, cost_usd=0.5))
    results = results.model_copy(update={"total_usage": unpriced})
    table = main_table(results)
    assert cells_of(table, "tacos")["money"] == Cell("-", "price unknown")
    assert cells_of(table, "car")["money"].text == "$0.50 + unpriced"
    assert cells_of(table, "random")["money"].text == "$0"
    assert "9 paid LLM calls (price unknown)" in headline(results).paragraph
    markdown = write_report(results, tmp_path).markdown.read_text()
    assert "- (price unknown)" in markdown and "money that is not known (price unknown)" in markdown
    assert "without prices in the config" in markdown
    for arm in ("random", "car"):
        results = with_runs(results, arm, selection_usage=unpriced)
    assert "- (price unknown)" in to_markdown(main_table(results))  # no column of dashes is dropped


def cells_of(table: Table, arm: str) -> dict[str, Cell]:
    row = next(row for row in table.rows if row.arm == arm)
    return dict(zip([c.label for c in table.columns], row.cells, strict=True))


def test_parts_say_whether_an_llm_was_called() -> None:
    silent = make_results(arms=SMALL)
    assert parts_sentence(silent).startswith("No LLM was called: every part is embedded")
    assert parts_sentence(make_results()).startswith("An LLM did the work of tagger")
    given = silent.model_copy(update={"parts": {**silent.parts, "base model": "meta-llama/Llama-2-7b-hf"}})
    assert parts_sentence(given).startswith("No LLM was called to tag, score or judge.")
    assert parts_sentence(given).endswith("but the base model (meta-llama/Llama-2-7b-hf).")
    filed = silent.model_copy(update={"parts": {**silent.parts, "selection (mine)": "none x file x top"}})
    assert parts_sentence(filed).endswith(
        "Groups or scores of selection (mine) are from a file: who made them, and at what cost, is not known."
    )
    unnamed = make_results().model_copy(update={"parts": silent.parts})
    assert parts_sentence(unnamed) == "LLMs were called, though no part below is named as one."


def test_names_from_users_do_not_break_the_page(tmp_path: Path) -> None:
    odd = replace(SMALL[0], name="a<b>|$x$_y & co")
    paths = write_report(make_results(arms=(odd, *SMALL[1:])), tmp_path)
    assert "a&lt;b&gt;|$x$_y &amp; co" in paths.html.read_text()
    assert "<b>|" not in paths.html.read_text()
    assert r"a\<b\>\|\$x\$\_y & co" in paths.markdown.read_text()


def test_a_long_name_leaves_room_to_draw_in() -> None:
    long = [f"{'a name that tells all of the recipe, ' * 2}and ends with {end}" for end in "ab"]
    arms = (*(replace(ARMS[0], name=name) for name in long), *SMALL[1:])
    for plot in draw(make_results(arms=arms)):
        plot.figure.draw_without_rendering()
        width, height = plot.figure.bbox.size
        for axis in filter(lambda one: one.get_visible(), plot.figure.axes):
            box, around = axis.get_window_extent(), axis.get_tightbbox()
            assert box.width > 0.15 * width, plot.name
            assert around is not None and around.x0 >= -1 and around.y1 <= height + 1, plot.name
            assert axis.get_title(loc="right") == "" or around.x1 <= width + 1, plot.name
            names = [text.get_text() for text in axis.get_yticklabels() if "…" in text.get_text()]
            assert len(names) == len(set(names)), plot.name  # they differ at their ends alone


@pytest.mark.parametrize("width", [80, 40])
def test_console_table_keeps_every_digit(full: Results, width: int) -> None:
    stream = io.StringIO()
    show(console_table(full), Console(file=stream, width=width))
    text = stream.getvalue()
    for arm in full.summary:
        assert f"{arm.interval('exact_match').mean:.1%}" in text
    assert max(map(len, text.splitlines())) <= max(width, 80)
    assert "…" not in text and "[57.1, 65.3]" in text and "iterselecttune" in text and "baseline" in text


def test_arms_that_select_nothing_are_compared_too() -> None:
    """Of the base model and of finished models nobody says that rows were selected, or that there is no other arm."""
    by_name = {arm.name: arm for arm in ARMS}
    untrained, base = by_name["zero-shot"], by_name["random"]
    said = headline(make_results(arms=(base, untrained)))
    assert said.verdict == "zero-shot is worse than random on exact match."
    assert said.paragraph.startswith(
        "zero-shot is the base model before any tuning: nothing was selected for it."
    )
    assert "zero-shot's model answers worse than random's" in said.paragraph
    assert (
        "Selecting took" not in said.paragraph and "After training" not in said.paragraph and not said.others
    )

    finished = replace(untrained, name="theirs", method="model", exact_match=0.7)
    said = headline(make_results(arms=(base, finished), seeds=1))
    assert (
        said.verdict
        == "theirs is better than random's on exact match; from 1 seed nothing follows for the method."
    )
    assert said.paragraph.startswith(
        "theirs is a finished model: nothing was selected for it. Exact match is 70.0%"
    )
    results = make_results(arms=(base, finished, untrained))
    alone = results.model_copy(
        update={"runs": [r.model_copy(update={"trained": None}) for r in results.runs]}
    )
    assert "Nothing was trained" not in headline(alone).paragraph
    assert headline(results).others == "Before any tuning (zero-shot) exact match is 3.1%."
    others = headline(make_results(arms=(*SMALL[:1], base, finished))).others
    assert others == "Of theirs, a finished model, exact match is 70.0%."


def test_one_question_has_no_interval_and_no_sentence_of_one() -> None:
    results = make_results(arms=SMALL[:2], seeds=1)
    alone = Interval(mean=1.0, low=0.0, high=1.0, n=1)
    found = {
        name: measure.model_copy(update={"interval": alone, "gain": measure.gain and alone})
        for name, measure in results.summary[0].measures.items()
    }
    lead = results.summary[0].model_copy(update={"measures": found})
    said = headline(results.model_copy(update={"summary": [lead, results.summary[1]]}))
    assert said.verdict == "1 question is too few to say whether tacos is better than random on exact match."
    assert "(difference +100.0 points): 1 row is too few to say." in said.paragraph
    assert "(difference +100.0 points) over 1 seed: 1 question is too few to say." in said.paragraph
    assert "winning score is 1.00, where 1 is a draw: 1 question is too few to say." in said.paragraph


def test_nothing_is_best_first_where_nothing_was_read() -> None:
    results = make_results(arms=SMALL)
    empty = [
        arm.model_copy(update={"measures": {name: ArmMeasure(interval=None) for name in arm.measures}})
        for arm in results.summary
    ]
    note = main_table(results.model_copy(update={"summary": empty})).note
    assert "Best first" in main_table(results).note and "Best first" not in note and "intervals" not in note


def test_claims_at_the_edges() -> None:
    assert claim(None) is None
    assert claim(Interval(mean=0.1, low=0.0, high=0.2, n=9)) == "unclear"
    assert claim(Interval(mean=-0.1, low=-0.2, high=-0.01, n=9), lower_is_better=True) == "better"
    assert claim(Interval(mean=1.1, low=1.05, high=1.2, n=9), neutral=1.0) == "better"
    assert claim(Interval(mean=float("nan"), low=float("nan"), high=float("nan"), n=0)) is None


def test_numbers_are_written_one_way() -> None:
    assert [fmt.money(v) for v in (0, 0.004213, 0.067, 1.172, 1234.5)] == [
        "$0",
        "$0.0042",
        "$0.067",
        "$1.17",
        "$1,234.50",
    ]
    assert [fmt.points(v) for v in (0.123, -0.254, -0.0001)] == ["+12.3", "-25.4", "0.0"]
    assert [fmt.seconds(v) for v in (0, 0.0121, 3.14159, 41.82, 1873.4)] == [
        "0.00",
        "0.012",
        "3.14",
        "41.8",
        "1,873",
    ]
    assert [fmt.duration(v) for v in (41.82, 1873.4, 7500)] == ["41.8 s", "31 min 13 s", "2 h 5 min"]
    forms = (fmt.count, fmt.percent, fmt.points, fmt.score, fmt.loss, fmt.seconds, fmt.money, fmt.duration)
    assert {form(value) for form in forms for value in (None, float("nan"), float("inf"))} == {"-"}
    assert fmt.spread([60, None, 60], fmt.count) == "60" and fmt.spread([61, 58], fmt.count) == "58 to 61"
    assert fmt.spread([None], fmt.count) == "-"
    assert fmt.bracket(interval(0.5, 0.0, 1), fmt.percent) == ""  # one item has no interval


def test_markdown_cells_escape_pipes() -> None:
    table = pairs_table(("a", "b"), [("x|y", "1")])
    assert to_markdown(table).splitlines()[-1] == "| x\\|y | 1 |"


def test_markdown_says_what_a_score_is_of() -> None:
    heads = to_markdown(gains_table(make_results(arms=SMALL))).splitlines()[0]
    assert "| winning score, 1 is a draw: score | winning score, 1 is a draw: verdict |" in heads


def test_one_seed_speaks_of_models_and_three_of_methods() -> None:
    said = headline(make_results(seeds=1)).verdict
    assert said.startswith(
        "The model trained on tacos's rows is better than random's on exact match; from 1 seed nothing"
    )
    assert headline(make_results(seeds=3)).verdict.startswith("tacos is better than random on exact match.")
    verdicts = {row.cells[2].text for row in gains_table(make_results(seeds=1)).rows}
    assert "better by this model" in verdicts
    assert "better" in {row.cells[2].text for row in gains_table(make_results(seeds=3)).rows}


def test_the_smallest_difference_that_can_be_found_is_told() -> None:
    note = gains_table(make_results(seeds=3, half_width=0.04)).note
    assert "with 3 seeds would find: 5.7 points (exact match" in note  # .04 * 2.8 / 1.96


def test_the_smallest_difference_stands_beside_the_questions_that_it_rests_on() -> None:
    results = make_results(arms=SMALL, half_width=0.04)
    wide = {"exact_match": ArmMeasure(interval=interval(0.5, 0.1, 50), gain=interval(0.1, 0.08, 50))}
    last = results.summary[-1].model_copy(update={"measures": wide})
    note = gains_table(results.model_copy(update={"summary": [*results.summary[:-1], last]})).note
    assert (
        "would find: 11.4 points (exact match, 50 questions)" in note
    )  # .08 * 2.8 / 1.96, not of 360 questions


def test_a_claim_that_the_correction_takes_back_is_not_said_to_cover_zero() -> None:
    results = make_results()
    taken = [
        arm.model_copy(
            update={"measures": {n: m.model_copy(update={"p_holm": 0.2}) for n, m in arm.measures.items()}}
        )
        for arm in results.summary
    ]
    said = headline(results.model_copy(update={"summary": taken}))
    assert said.verdict.startswith("No difference between tacos and random can be claimed on exact match.")
    assert "that does not hold after correction, so no difference can be claimed" in said.paragraph
    assert "covers" not in said.paragraph
