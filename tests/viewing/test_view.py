"""`tacos view`: what the page is told, what it refuses, and that it is a bundle too."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from eval.results import Failure
from tacos.errors import TacosError
from tacos.types import Pool
from tacos.viewing.bundle import bundled_rows, write_bundle
from tacos.viewing.overview import RunContents, overview
from tacos.viewing.run_folder import RunFolder
from tacos.viewing.server import HOST, SCRIPTS, application, serve
from tacos.viewing.shelf import Shelf
from tests.viewing.runs import HOSTILE, NAMES, made_run

LOCAL = "http://127.0.0.1:8321"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_run(tmp_path_factory.mktemp("viewed"))


@pytest.fixture(scope="module")
def runs(folder: Path) -> Shelf:
    return Shelf([folder])


@pytest.fixture(scope="module")
def client(runs: Shelf) -> TestClient:
    return TestClient(application(runs), base_url=LOCAL)


def samples(client: TestClient, **query: Any) -> dict[str, Any]:
    reply = client.get("/api/runs/shown/samples", params={"limit": 200, **query})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def ids(client: TestClient, **query: Any) -> list[str]:
    return [row["id"] for row in samples(client, **query)["rows"]]


def selected(folder: Path, arm: str) -> list[str]:
    text = (RunFolder(folder).arm(arm).select.path / "selection.jsonl").read_text()
    return [json.loads(line)["id"] for line in text.splitlines()]


def test_runs_and_arms(client: TestClient) -> None:
    (card,) = client.get("/api/runs").json()
    assert card["name"] == "shown" and set(card["arms"]) == set(NAMES) and "exact match" in card["measures"]
    run = client.get("/api/runs/shown").json()
    arms = {arm["arm"]: arm for arm in run["arms"]}
    assert arms["random"]["baseline"] and arms["tacos"]["state"] == "finished"
    assert arms["tacos"]["measures"]["exact_match"]["low"] < arms["tacos"]["measures"]["exact_match"]["high"]
    assert arms["tacos"]["runs"][0]["usage"]["seconds"] > 0
    assert arms["tacos"]["colour"] == "#0173b2" and arms["random"]["colour"] == "#8a9099"  # the report's
    assert arms["refined"]["state"] == "selected; not in the results" and arms["refined"]["selects"]
    assert run["pool"] == 25 and run["plots"] == ["lengths.png"]
    assert set(run["answered"]) == {"tacos", "random"}


def test_an_arm_that_failed_says_so(runs: Shelf) -> None:
    run = runs["shown"]
    assert run.results is not None
    failure = Failure(arm="car", seed=1, stage="train", reason="out of memory")
    results = run.results.model_copy(update={"failures": [failure]})
    found = {arm.arm: arm for arm in overview("shown", run.run, results, run.refresh(), RunContents()).arms}
    assert found["car"].state == "train failed (seed 1): out of memory"
    assert not found["car"].selects and found["car"].measures == {} and found["tacos"].state == "finished"


def test_filters_of_samples(client: TestClient, folder: Path) -> None:
    assert len(ids(client, arm="tacos")) == 25
    kept, left = ids(client, arm="tacos", filter="selected"), ids(client, arm="tacos", filter="discarded")
    assert kept == selected(folder, "tacos") and len(kept) == 8  # in the order of rank
    assert set(kept) | set(left) == set(ids(client, arm="tacos")) and not set(kept) & set(left)
    assert len(ids(client, arm="tacos", source="set 1")) == 8
    rows = samples(client, arm="tacos", filter="selected")["rows"]
    group, reason = rows[0]["groups"][0], rows[0]["reason"]
    assert rows[0]["rank"] == 1 and reason
    choices = client.get("/api/runs/shown/choices", params={"arm": "tacos"}).json()
    told = next(one for one in choices["groups"] if one["name"] == group)
    assert len(ids(client, arm="tacos", group=group)) == told["rows"]
    assert len(ids(client, arm="tacos", group=group, filter="selected")) == told["selected"]
    assert len(ids(client, arm="tacos", reason=reason)) == sum(r["reason"] == reason for r in rows)
    tag = rows[0]["tags"][0]
    assert rows[0]["id"] in ids(client, arm="tacos", tag=tag) and not ids(client, arm="tacos", tag="no such")


def test_search_scores_and_order(client: TestClient) -> None:
    assert len(ids(client, arm="random", q=" ALGEBRA number 2\n")) == 2  # 2 and 22
    found = ids(client, arm="random", q="About Algebra")
    assert len(found) == 6 and len(ids(client, arm="random", q="fact5")) == 4
    rows = samples(client, arm="longest", sort="-score")["rows"]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    middle = samples(client, arm="longest", min=scores[10], max=scores[5])["rows"]
    assert {row["id"] for row in middle} == {r["id"] for r in rows if scores[10] <= r["score"] <= scores[5]}
    assert samples(client, arm="random", min=0)["total"] == 0  # no score is not 0
    assert samples(client, arm="random")["rows"][0]["score"] is None


def test_pages(client: TestClient) -> None:
    whole = ids(client, arm="tacos", sort="pool")
    pages = [samples(client, arm="tacos", sort="pool", offset=offset, limit=10) for offset in (0, 10, 20, 30)]
    assert [len(page["rows"]) for page in pages] == [10, 10, 5, 0] and {p["total"] for p in pages} == {25}
    assert [row["id"] for page in pages for row in page["rows"]] == whole
    for wrong in ({"limit": 201}, {"offset": -1}, {"filter": "best"}, {"min": "low"}, {"what": "1"}):
        assert client.get("/api/runs/shown/samples", params={"arm": "tacos", **wrong}).status_code == 400


def test_set_differences(client: TestClient, folder: Path) -> None:
    a, b = set(selected(folder, "tacos")), set(selected(folder, "longest"))
    asked = {"arm": "tacos", "other": "longest"}
    assert set(ids(client, filter="only_a", **asked)) == a - b
    assert set(ids(client, filter="only_b", **asked)) == b - a
    assert set(ids(client, filter="both", **asked)) == a & b
    lacks = client.get("/api/runs/shown/samples", params={"arm": "tacos", "filter": "only_a"})
    assert lacks.status_code == 400 and "other=ARM" in lacks.text


def test_one_sample(client: TestClient, folder: Path) -> None:
    story = client.get(f"/api/runs/shown/samples/{selected(folder, 'tacos')[0]}").json()
    own = next(arm for arm in story["arms"] if arm["arm"] == "tacos")
    assert own["selected"] and own["rank"] == 1 and own["groups"] and own["tags_before"]
    assert own["meetings"][0]["partners"] and own["meetings"][0]["feedback"] == "ok"


def test_answers(client: TestClient) -> None:
    def asked(**query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.get("/api/runs/shown/answers", params=query).json()["questions"]
        return found

    assert [one["id"] for one in asked()] == ["q0", "q1", "q2"]
    assert [one["id"] for one in asked(arm="tacos", other="random", filter="disagree")] == ["q2"]
    (flipped,) = asked(filter="flipped")
    own = next(a for a in flipped["answers"] if a["arm"] == "tacos")
    assert flipped["id"] == "q1" and [line["text"] for line in own["verdicts"]] == ["8 : 2", "2 : 8"]
    assert [one["id"] for one in asked(q="TACOS says 2")] == ["q2"]
    assert own["exact_match"] is None  # nothing was checked
    assert client.get("/api/runs/shown/answers", params={"arm": "longest"}).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/runs/other",
        "/api/runs/other/samples?arm=tacos",
        "/api/runs/shown/samples?arm=taco",
        "/api/runs/shown/samples?arm=tacos&seed=3",
        "/api/runs/shown/samples/nobody",
        "/api/runs/shown/choices?arm=nobody",
        "/api/runs/..%2f..%2fp.jsonl",
        "/api/runs/shown/samples/..%2f..%2f..%2fp.jsonl",
        "/plots/shown/other.png",
        "/plots/shown/..%2fresults.json",
        "/plots/..%2fshown/lengths.png",
        "/assets/..%2f..%2fserver.py",
        "/assets/view.html.j2",
        "/etc/passwd",
        "//etc/passwd",
    ],
)
def test_what_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_only_get_only_from_here(client: TestClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        for path in ("/", "/api/runs", "/nowhere"):
            assert client.request(method, path).status_code == 405
    for host in ("evil.example", "127.0.0.1.evil.example", "192.168.0.7:8321"):
        reply = client.get("/api/runs", headers={"Host": host})
        assert reply.status_code == 400 and "Content-Security-Policy" in reply.headers
    assert client.get("/api/runs", headers={"Host": "localhost:8321"}).status_code == 200


def test_headers_and_assets(client: TestClient) -> None:
    for path in ("/", "/api/runs", "/assets/view.css", "/assets/start.js", "/plots/shown/lengths.png"):
        reply = client.get(path)
        policy = reply.headers["Content-Security-Policy"]
        assert reply.status_code == 200 and policy.startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in policy and reply.headers["X-Content-Type-Options"] == "nosniff"
    page, script = client.get("/").text, "".join(client.get(f"/assets/{name}").text for name in SCRIPTS)
    assert "<script>" not in page and "style=" not in page and "//" not in page.replace("<!doctype", "")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert way not in script
    assert "--surface" in client.get("/assets/view.css").text  # the report's colours


def test_hostile_text_stays_text(client: TestClient) -> None:
    reply = client.get("/api/runs/shown/samples", params={"arm": "tacos", "q": HOSTILE})
    assert reply.headers["content-type"] == "application/json"
    (row,) = reply.json()["rows"]
    assert row["id"] == "bad" and row["response"] == HOSTILE
    story = client.get("/api/runs/shown/samples/bad").json()
    assert story["sample"]["messages"][-1]["content"] == HOSTILE
    assert HOSTILE not in client.get("/").text


def test_a_selection_alone_and_a_folder_of_runs(tmp_path: Path) -> None:
    folder = made_run(tmp_path, "alone", results=False)
    (tmp_path / "runs" / "notes").mkdir()
    runs = Shelf([folder.parent])
    client = TestClient(application(runs), base_url=LOCAL)
    assert list(runs) == ["alone"]
    run = client.get("/api/runs/alone").json()
    assert run["table"] is None and {arm["state"] for arm in run["arms"]} == {"selected"}
    assert client.get("/api/runs/alone/answers").status_code == 404
    again = Shelf([folder, folder])
    assert len(again) == 1
    with pytest.raises(TacosError, match="holds no run"):
        Shelf([tmp_path / "runs" / "notes"])


def script(path: Path, key: str) -> Any:
    text = path.read_text(encoding="ascii")
    head = f'tacosData("{key}", '
    assert text.startswith(head) and text.endswith(");\n")
    return json.loads(text[len(head) : -3])


def test_a_bundle_holds_the_page_and_the_data(runs: Shelf, tmp_path: Path) -> None:
    page = write_bundle(runs, tmp_path / "b", most=5000)
    data = tmp_path / "b" / "data"
    assert 'data-source="bundle"' in page.read_text() and 'src="assets/start.js"' in page.read_text()
    assert (tmp_path / "b" / "assets" / "view.css").is_file()
    assert (tmp_path / "b" / "plots" / "shown" / "lengths.png").is_file()
    assert [run["name"] for run in script(data / "runs.js", "runs")] == ["shown"]
    held = script(data / "0" / "samples.js", "0/samples")
    assert (
        len(held["rows"]) == 25 and held["limits"] == "" and HOSTILE in [r["response"] for r in held["rows"]]
    )
    stories = script(data / "0" / "stories-0.js", "0/stories-0")
    assert [story["id"] for story in stories] == [row["id"] for row in held["rows"]]
    assert [row["rank"] for row in held["arms"]["tacos|0"]["rows"]].count(None) == 17
    assert len(script(data / "0" / "answers-0.js", "0/answers-0")) == 3
    write_bundle(runs, tmp_path / "b", most=10)  # over an older one
    held = script(data / "0" / "samples.js", "0/samples")
    assert len(held["rows"]) == 10 and held["limits"].startswith("10 of the 25 samples")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("my own")
    with pytest.raises(TacosError, match="not of a bundle"):
        write_bundle(runs, tmp_path / "mine", most=10)


def test_a_bundle_takes_what_was_selected_first(runs: Shelf, folder: Path) -> None:
    arms = runs["shown"].teller.arms
    pool: Pool = runs["shown"].browser.pool
    union = {pool.position[i] for name in NAMES for i in selected(folder, name)}
    few = bundled_rows(arms, len(pool), 6)
    first = {pool.position[selected(folder, name)[place]] for name in NAMES for place in (0, 1)}
    assert len(few) == 6 and set(few) <= union and len(first - set(few)) <= 6 - len(first)
    more = bundled_rows(arms, len(pool), len(union) + 2)
    assert union < set(more) and len(more) == len(union) + 2
    assert bundled_rows(arms, len(pool), 5000) == list(range(25))


def test_the_command_serves_until_it_is_stopped(folder: Path, runs: Shelf) -> None:
    program = [sys.executable, "-m", "tacos", "view", str(folder), "--port", "0"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        url = process.stdout.readline().split()[1]
        assert url.startswith(f"http://{HOST}:")
        with urllib.request.urlopen(f"{url}api/runs", timeout=20) as reply:
            assert json.load(reply)[0]["name"] == "shown"
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 0 and process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(TacosError, match="is in use: give another --port"):
            serve(runs, taken.getsockname()[1], print)
