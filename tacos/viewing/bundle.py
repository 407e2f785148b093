"""The page as files: a folder whose index.html opens without a server, to send or to publish.

    index.html   assets/   plots/RUN/   reports/RUN.html
    data/runs.js               the runs, in the order of the folders beside it
    data/0/overview.js         what /api/runs/RUN says
    data/0/samples.js          full texts, and every arm's view of them
    data/0/stories-0.js        the samples whole, a few hundred in a file
    data/0/map.js              where these samples lie, where the pool was embedded
    data/0/answers-0.js        of each question set

A browser reads no JSON beside a page that is opened as a file, but it runs scripts: each is one call, `tacosData(name,
value)`. Which samples go along, and how many, is said on the page.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from tacos.errors import TacosError
from tacos.store.files import cannot_write, write_text
from tacos.viewing.arm_tables import ArmTables
from tacos.viewing.map import PoolMap
from tacos.viewing.samples import SampleBrowser
from tacos.viewing.server import ASSETS, page_file, shell
from tacos.viewing.shelf import Shelf
from tacos.viewing.viewed import ViewedRun, as_json

INDEX = "index.html"
CHUNK = 200
"""Stories in a file."""
MAPPED = {"groups", "names", "palette"}
"""What the map of an arm has beyond places and samples."""


def write_bundle(runs: Shelf, folder: Path, most: int) -> Path:
    """most: samples of each run. Returns the page.

    Raises: TacosError where the folder holds files that are not a bundle's, or cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "data" / "runs.js").is_file():
        raise TacosError(f"{folder} holds files that are not of a bundle: give another folder")
    try:
        for old in ("data", "plots", "reports"):
            shutil.rmtree(folder / old, ignore_errors=True)
        for number, (name, run) in enumerate(runs.items()):
            _write_run(run, folder, number, most)
            if (report := run.report(f"../{INDEX}")) is not None:
                write_text(folder / "reports" / f"{name}.html", report)
            for plot, path in run.plots.items():
                (folder / "plots" / name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / "plots" / name / plot)
    except OSError as error:
        raise cannot_write(folder, error) from error
    for asset in ASSETS:
        write_text(folder / "assets" / asset, page_file(asset))
    _write(folder, "runs", as_json([run.card for run in runs.values()]))
    write_text(folder / INDEX, shell(bundle=True))
    return folder / INDEX


def _write_run(run: ViewedRun, folder: Path, number: int, most: int) -> None:
    _write(folder, f"{number}/overview", as_json(run.overview()))
    if not run.run.arms:
        return
    chosen = bundled_rows(run.teller.arms, len(run.browser.pool), most)
    _write(folder, f"{number}/samples", json.dumps(_samples(run.browser, chosen), allow_nan=False))
    for place, name in enumerate(run.book.sets):
        _write(folder, f"{number}/answers-{place}", as_json(run.book.questions(name)))
    if run.mapped:
        drawn = PoolMap(run.teller, chosen)
        pages = {_key(arm): drawn.page(arm).model_dump(include=MAPPED) for arm in run.teller.arms}
        _write(folder, f"{number}/map", json.dumps({"places": drawn.places.model_dump(), "arms": pages}))
    for start in range(0, len(chosen), CHUNK):
        ids = [run.browser.pool.ids[row] for row in chosen[start : start + CHUNK]]
        _write(folder, f"{number}/stories-{start // CHUNK}", as_json([run.story(id_) for id_ in ids]))


def _write(folder: Path, key: str, value: str) -> None:
    """value: JSON in ASCII."""
    write_text(folder / "data" / f"{key}.js", f"tacosData({json.dumps(key)}, {value});\n")


def bundled_rows(arms: Sequence[ArmTables], pool: int, most: int) -> list[int]:
    """Row numbers of the pool, at most `most`, ascending.

    First what was selected, the arms in turn and each by rank, those that take the whole pool last; then what was
    discarded of the same groups, the groups in turn. Of an arm without groups, the pool is the group.
    """
    ranked = [np.flatnonzero(arm.ranks)[np.argsort(arm.ranks[arm.ranks > 0])] for arm in arms]
    part = [rows.tolist() for rows in ranked if len(rows) < pool]
    whole = [rows.tolist() for rows in ranked if len(rows) >= pool]
    same = [members for arm in arms for members in _groups_taken_from(arm)]
    found: dict[int, None] = {}
    for lists in (part, same, whole, [list(range(pool))]):
        for row in _in_turn(lists):
            if len(found) >= most:
                return sorted(found)
            found[row] = None
    return sorted(found)


def _groups_taken_from(arm: ArmTables) -> Iterator[list[int]]:
    for members in arm.groups.members if arm.groups else ():
        if (arm.ranks[members] > 0).any():
            yield members.tolist()


def _in_turn(lists: Sequence[Sequence[int]]) -> Iterator[int]:
    """The first of each, then the second of each."""
    for rows in zip_longest(*lists):
        yield from (row for row in rows if row is not None)


def _samples(browser: SampleBrowser, rows: list[int]) -> dict[str, Any]:
    """Full texts once, and what each arm makes of each row."""
    columns, ids = browser.columns, browser.pool.ids
    texts = [
        {
            "row": row,
            "id": ids[row],
            "source": columns.sources[row],
            "prompt": columns.prompts[row],
            "response": columns.responses[row],
            "words": int(columns.words[row]),
            "taken": np.flatnonzero(browser.taken[:, row]).tolist(),
        }
        for row in rows
    ]
    return {
        "chunk": CHUNK,
        "limits": limits(browser, rows),
        "rows": texts,
        "arms": {_key(arm): _seen_by(browser, arm, rows) for arm in browser.teller.arms},
    }


def _seen_by(browser: SampleBrowser, arm: ArmTables, rows: list[int]) -> dict[str, Any]:
    own = {"rank", "score", "std_error", "groups", "tags", "reason"}
    return {
        "choices": browser.choices(arm).model_dump(),
        "rows": [browser.row(arm, row).model_dump(include=own) for row in rows],
    }


def limits(browser: SampleBrowser, rows: list[int]) -> str:
    """What a bundle holds, for a reader; "" where it holds all."""
    pool = len(browser.pool)
    if len(rows) == pool:
        return ""
    selecting = browser.taken[
        browser.taken.sum(axis=1) < pool
    ]  # an arm that takes everything chooses nothing
    selected: np.ndarray = np.any(selecting, axis=0)
    held = int(selected[rows].sum())
    return (
        f"{len(rows):,} of the {pool:,} samples: {held:,} of the {int(selected.sum()):,} that an arm chose, and "
        f"{len(rows) - held:,} others, of the same groups first. Counts in lists of choices are of the whole pool"
    )


def _key(arm: ArmTables) -> str:
    return f"{arm.arm.arm}|{'' if arm.arm.seed is None else arm.arm.seed}"
