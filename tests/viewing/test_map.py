"""A pool as a map: where rows lie, and what an arm makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from starlette.testclient import TestClient

from tacos.viewing.map import MapQuery, PoolMap, embedded_in, project
from tacos.viewing.server import application
from tacos.viewing.shelf import Shelf
from tests.viewing.runs import made_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf([made_run(tmp_path_factory.mktemp("mapped"))])


def test_places_are_principal_components() -> None:
    rng = np.random.default_rng(3)
    vectors = (rng.normal(size=(200, 6)) * [5, 3, 1, 0.5, 0.2, 0.1]).astype(np.float32)
    points, (one, two) = project(vectors, np.arange(200))
    centred = vectors - vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    whole = u[:, :2] * s[:2]
    for axis in (0, 1):
        assert abs(np.corrcoef(points[:, axis], whole[:, axis])[0, 1]) > 0.9999
    assert np.allclose([one, two], s[:2] ** 2 / (s**2).sum(), atol=1e-6)
    assert np.abs(points).max() == 1 and np.ptp(points[:, 1]) / np.ptp(points[:, 0]) == pytest.approx(
        np.ptp(whole[:, 1]) / np.ptp(whole[:, 0]), rel=1e-3
    )
    some, _ = project(vectors, np.array([5, 7]))
    assert some.shape == (2, 2)
    alike, shares = project(np.ones((4, 3), dtype=np.float32), np.arange(4))
    assert not alike.any() and shares == (0.0, 0.0)


def test_an_arm_lies_over_the_map(runs: Shelf) -> None:
    run = runs["shown"]
    page = run.map_page(MapQuery(arm="tacos"))
    assert (
        page.places.text == "prompt" and page.places.rows == 25 and len(page.places.x) == len(page.ids) == 25
    )
    number = [arm.arm.arm for arm in run.teller.arms].index("tacos")
    ranks = run.arm("tacos").ranks
    assert [number in taken for taken in page.taken] == (ranks > 0).tolist()
    assert page.scores == [None if np.isnan(v) else v for v in run.arm("tacos").scores.values.tolist()]
    groups = run.arm("tacos").groups
    assert groups is not None and set(page.names) <= set(groups.labels)
    for row, place in enumerate(page.groups):
        if place is not None:
            assert row in groups.members[groups.labels.index(page.names[place])]
    few = PoolMap(run.teller, [3, 20])
    assert few.page(run.arm("longest")).ids == [run.teller.pool.ids[3], run.teller.pool.ids[20]]


def test_the_page_is_told(runs: Shelf) -> None:
    client = TestClient(application(runs), base_url="http://127.0.0.1:1")
    assert client.get("/api/runs/shown").json()["mapped"]
    assert client.get("/api/runs/shown/map", params={"arm": "random"}).json()["names"] == []
    assert client.get("/api/runs/shown/map", params={"arm": "nobody"}).status_code == 404
    arms = runs["shown"].teller.arms
    assert embedded_in([arm for arm in arms if arm.arm.arm == "random"], 25) is None
    assert embedded_in(arms, 24) is None  # vectors of something else
