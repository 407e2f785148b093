"""The page of `tacos view` in a browser: from a server and as a bundle, light and dark, wide and narrow."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
import uvicorn

from eval.report.experiment import write_report
from eval.report.page import PAGE
from tacos.store.held import held
from tacos.viewing.bundle import write_bundle
from tacos.viewing.run_folder import RunFolder
from tacos.viewing.server import HOST, application
from tacos.viewing.shelf import Shelf
from tests.viewing.chromium import PROGRAM, Tab, opened
from tests.viewing.runs import HOSTILE, made_run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="needs chromium")]
ROWS = "[...document.querySelectorAll('.rows tbody tr')].map((row) => row.dataset.id)"
QUESTIONS = "[...document.querySelectorAll('.question h3')].map((one) => one.textContent)"
PAINTED = """(() => {
  const map = document.querySelector('canvas.map'), seen = new Set();
  const dots = map.getContext('2d').getImageData(0, 0, map.width, map.height).data;
  for (let i = 0; i < dots.length; i += 4) if (dots[i + 3] > 200) seen.add(dots.slice(i, i + 3).join());
  return seen.size;
})()"""
"""How many colours a map has."""
CLICKED = """(() => {
  const map = document.querySelector('canvas.map'), box = map.getBoundingClientRect();
  for (let x = box.left; x < box.right; x += 10) {
    for (let y = box.top; y < box.bottom; y += 10) {
      map.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y }));
      if (map.style.cursor === 'pointer') return map.dispatchEvent(new MouseEvent('click', { clientX: x, clientY: y }));
    }
  }
  return false;
})()"""
"""Finds a row on the map and clicks it."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf([made_run(tmp_path_factory.mktemp("browsed"))])


@contextmanager
def serving(runs: Shelf) -> Iterator[str]:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        server = uvicorn.Server(uvicorn.Config(application(runs), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        yield f"http://{HOST}:{bound.getsockname()[1]}/"
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture(scope="module")
def served(runs: Shelf) -> Iterator[str]:
    with serving(runs) as page:
        yield page


@pytest.fixture(scope="module")
def bundled(runs: Shelf, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_bundle(runs, tmp_path_factory.mktemp("bundle") / "b", most=5000).as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with opened(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(browser: Tab) -> Iterator[Tab]:
    """Nothing may be reported as an error while a test runs, a refusal of the content policy among it."""
    browser.said.clear()
    yield browser
    browser.value("1")
    assert browser.said == []


def at(part: str = "", **query: object) -> str:
    return f"#/run/shown{part}" + (f"?{urlencode(query)}" if query else "")


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("source", ["served", "bundled"])
def test_every_part_opens(
    tab: Tab, source: str, scheme: str, width: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    page = request.getfixturevalue(source)
    parts = {
        at(): "table.arms",
        at("/samples", arm="tacos", filter="selected"): ".rows tbody tr",
        at("/samples", arm="tacos", group="1: cook", beside=1): ".beside",
        at("/samples", arm="tacos", open="bad"): "dialog[open] .arm",
        at("/answers"): ".question .answer",
    }
    for number, (where, shown) in enumerate(parts.items()):
        tab.open(page + where, width=width, scheme=scheme)
        tab.wait(f"document.querySelector({shown!r})")
        assert tab.value("document.documentElement.scrollWidth") <= width, where
        light = tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(245, 246, 248)"
        assert light == (scheme == "light")
        tab.picture(tmp_path / f"{source}-{number}.png")


def test_arms_have_numbers_and_the_colours_of_the_report(tab: Tab, served: str) -> None:
    tab.open(served + at())
    rows = "[...document.querySelectorAll('table.arms tbody tr')]"
    cells = tab.value(f"{rows}.map((row) => row.innerText)")
    assert len(cells) == 4 and any("61.2%" in one and "finished" in one and "[" in one for one in cells)
    own = f"{rows}.find((row) => row.innerText.startsWith('tacos')).querySelector('.chip')"
    chip = f"getComputedStyle({own}).backgroundColor"
    assert tab.value(chip) == "rgb(1, 115, 178)"
    right = "getComputedStyle(document.querySelector('table.arms tbody td.n')).textAlign"
    assert tab.value(right) == "right"


@pytest.mark.parametrize("source", ["served", "bundled"])
def test_keys_lead_through_the_samples(tab: Tab, source: str, request: pytest.FixtureRequest) -> None:
    tab.open(request.getfixturevalue(source) + at("/samples", arm="tacos"))
    tab.wait(f"{ROWS}.length === 25")
    tab.press("/")
    assert tab.value("document.activeElement.id") == "search"
    tab.type("algebra")
    tab.wait(f"{ROWS}.length === 6 && document.querySelector('mark')")
    assert "q=algebra" in tab.value("location.hash")
    tab.press("Escape")
    tab.press("j")
    tab.press("ArrowDown")
    tab.press("k")
    tab.press("j")
    second = tab.value(f"{ROWS}[1]")
    assert tab.value("document.activeElement.dataset.id") == second
    tab.press("Enter")
    tab.wait("document.querySelector('dialog').open")
    assert f"open={second}" in tab.value("location.hash") and tab.value(
        "document.querySelector('dialog').innerText"
    ).startswith(second)
    tab.press("j")
    third = tab.value(f"{ROWS}[2]")
    tab.wait(f"location.hash.includes('open={third}')")
    tab.press("Escape")
    tab.wait("!document.querySelector('dialog').open && !location.hash.includes('open=')")
    assert tab.value("document.activeElement.dataset.id") == third


def test_what_was_rewritten_stands_beside_the_original(tab: Tab, served: str) -> None:
    tab.open(served + at("/samples", arm="refined", filter="selected"))
    first = tab.value(f"{ROWS}[0]")
    tab.open(served + at("/samples", arm="refined", open=first))
    tab.wait("document.querySelector('dialog').open")
    original, rewritten = tab.value("[...document.querySelectorAll('.two section')].map((s) => s.innerText)")
    assert "Here is what I know" in original and "A better text." not in original
    assert rewritten.startswith("Rewritten for refined") and "A better text." in rewritten
    link = "document.querySelector('dialog .arm.yes td a')"
    tab.value(f"{link}.click()")  # the group: what was kept beside what was discarded
    tab.wait(
        "document.querySelectorAll('.beside .rows').length === 2 && !document.querySelector('dialog').open"
    )
    kept, left = tab.value("[...document.querySelectorAll('.beside h3')].map((one) => one.textContent)")
    assert kept == "Kept: 2" and left.startswith("Discarded: ")


@pytest.mark.parametrize("source", ["served", "bundled"])
def test_hostile_text_is_shown_as_text(tab: Tab, source: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(source)
    tab.open(page + at("/samples", arm="tacos", q="onerror", open="bad"))
    tab.wait("document.querySelector('dialog').open")
    assert HOSTILE in tab.value("document.querySelector('dialog').textContent")
    assert HOSTILE in tab.value("document.querySelector('.rows').textContent")
    tab.open(page + at("/answers"))
    assert HOSTILE in tab.value("document.querySelector('.answer').textContent")
    assert tab.value("document.querySelectorAll('main script, dialog script, img').length") == 0
    tab.open(page + at("/samples", arm="<img src=x onerror=alert(1)>", group="<b>", q="<i>"))
    assert tab.value("document.querySelectorAll('main b, main i, main img').length") == 0


def test_a_bundle_answers_as_the_server_does(tab: Tab, served: str, bundled: str) -> None:
    """The filters are written twice, in Python and in JavaScript."""
    asked = [
        dict(arm="tacos", filter="selected"),
        dict(arm="tacos", filter="discarded", sort="-score"),
        dict(arm="tacos", filter="only_a", other="longest"),
        dict(arm="tacos", filter="only_b", other="longest", sort="-words"),
        dict(arm="longest", filter="both", other="random", sort="words"),
        dict(arm="longest", min=8, max=9.5, sort="score"),
        dict(arm="random", min=0),
        dict(arm="tacos", source="set 1", q="Number 1", sort="pool"),
        dict(arm="tacos", tag="cooking"),
    ]
    for query in asked:
        found = []
        for page in (served, bundled):
            tab.open(page + at("/samples", **query))
            tab.wait("document.querySelector('.count')")
            found.append(tab.value(f"[document.querySelector('.count').textContent, {ROWS}]"))
        assert found[0] == found[1], query
    for query in (
        dict(filter="disagree", arm="tacos", other="random"),
        dict(filter="flipped"),
        dict(q="says 2"),
    ):
        found = []
        for page in (served, bundled):
            tab.open(page + at("/answers", **query))
            tab.wait("document.querySelector('.count')")
            found.append(tab.value(QUESTIONS))
        assert found[0] == found[1] and len(found[0]) == 1, query


def test_answers_of_every_arm_stay_in_the_address(tab: Tab, served: str) -> None:
    tab.open(served + at("/answers", what="else"))  # what an address has beyond the filters is not asked for
    tab.wait("document.querySelectorAll('.question').length === 3")
    assert tab.value("document.querySelectorAll('.question:first-child .answer').length") == 2
    tab.value(
        "[...document.querySelectorAll('select')].at(-1).value = '1', "
        "[...document.querySelectorAll('select')].at(-1).dispatchEvent(new Event('change'))"
    )
    tab.wait("location.hash.includes('every=1')")
    tab.wait("document.querySelectorAll('.question').length === 3")


def test_what_is_not_there_is_said(tab: Tab, bundled: str) -> None:
    tab.open(bundled + "#/run/other")
    assert "holds no run other" in tab.value("document.querySelector('.warning').textContent")


def test_numbers_of_the_report_lead_to_what_is_behind_them(tab: Tab, tmp_path: Path) -> None:
    folder = made_run(tmp_path)
    results = Shelf([folder])["shown"].results
    assert results is not None
    report = write_report(results, folder, linked=True).html
    write_bundle(Shelf([folder]), folder / PAGE, most=100)
    number = "[...document.querySelectorAll('td a')].find((a) => a.hash.includes('/{}?arm=tacos'))"
    for page in (report, folder / PAGE / "reports" / "shown.html"):
        tab.open(page.as_uri(), ready="document.querySelector('td a')")
        tab.value(f"{number.format('samples')}.click()")
        tab.wait(f"document.querySelector('.count') && {ROWS}.length === 8")
        tab.open(page.as_uri(), ready="document.querySelector('td a')")
        tab.value(f"{number.format('answers')}.click()")
        tab.wait(f"document.querySelector('.count') && {QUESTIONS}.length === 3")
        assert "other=random" in tab.value("location.hash")
    tab.value("document.querySelector('#where a').click()")
    tab.wait("document.querySelector('.meta a')")
    tab.value("document.querySelector('.meta a').click()")  # and back
    tab.wait("document.title.includes('what the selection bought')")


def test_a_map_is_drawn_and_opens_a_row(tab: Tab, served: str, bundled: str) -> None:
    taken = []
    for page in (served, bundled):
        for by in ("arm", "group", "score"):
            tab.open(page + at("/map", arm="tacos", by=by))
            tab.wait(
                "document.querySelector('canvas.map') && document.querySelector('canvas.map').width > 600"
            )
            assert tab.value(PAINTED) > 1
        assert tab.value(CLICKED)
        tab.wait("document.querySelector('dialog').open")
        taken.append(tab.value("document.querySelector('.legend').textContent"))
    assert taken[0] == taken[1]


def test_a_run_that_works_is_watched(tab: Tab, tmp_path: Path) -> None:
    folder = made_run(tmp_path, results=False)
    stage = RunFolder(folder).arm("longest").select.path
    kept = tmp_path / "kept"
    stage.rename(kept)
    with serving(Shelf([folder])) as page, held(stage, "select"):
        tab.open(page + at())
        tab.wait("document.querySelector('td .working')")
        assert "working" in tab.value("document.querySelector('.line').textContent")
        kept.rename(stage)
        tab.wait("!document.querySelector('td .working') && !document.querySelector('.line .working')")
        assert "25 of" not in tab.value("document.querySelector('.line').textContent")
        assert "finished" in tab.value("document.querySelector('.line').textContent")
