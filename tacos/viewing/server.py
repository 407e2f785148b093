"""A local page over runs, finished or at work: read-only, for this machine.

    GET /                                   the page; /assets/NAME its style and script; /plots/RUN/NAME a picture
    GET /reports/RUN                        its report, which leads back into the page
    GET /api/runs                           every run: name, created, arms, measures
    GET /api/runs/RUN                       its arms: state, cost, measures with intervals
    GET /api/runs/RUN/choices               what an arm's samples can be filtered by
    GET /api/runs/RUN/samples               a page of them (`SampleQuery`)
    GET /api/runs/RUN/samples/ID            one with everything that is known of it
    GET /api/runs/RUN/map                   where the rows of the pool lie, as an arm sees them (`MapQuery`)
    GET /api/runs/RUN/answers               a page of questions with answers and verdicts (`AnswerQuery`)

What a URL names is looked up in what was listed at the start; no part of a URL becomes a path.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from typing import TypeVar

import uvicorn
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tacos.errors import TacosError
from tacos.types import Record
from tacos.viewing.answers import AnswerQuery
from tacos.viewing.map import MapQuery
from tacos.viewing.samples import SampleQuery
from tacos.viewing.shelf import Shelf
from tacos.viewing.viewed import ViewedRun, as_json

HOST = "127.0.0.1"
SCRIPTS = ("dom.js", "data.js", "runs.js", "samples.js", "story.js", "map.js", "answers.js", "start.js")
"""In the order in which they are run."""
ASSETS = {"view.css": "text/css", **dict.fromkeys(SCRIPTS, "text/javascript")}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""A report runs no script, and has its style and drawings inside it."""

Q = TypeVar("Q", bound=Record)


class ReadOnly:
    """Puts the headers on every answer, and answers GET alone."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = {name for name, _ in message.get("headers", [])}
                named = [
                    (k.lower().encode(), v.encode())
                    for k, v in HEADERS.items()
                    if k.lower().encode() not in kept
                ]
                message = {**message, "headers": [*message.get("headers", []), *named]}
            await send(message)

        if scope["type"] == "http" and scope["method"] != "GET":
            refused = PlainTextResponse("only GET", status_code=405, headers={"Allow": "GET"})
            await refused(scope, receive, headed)
        else:
            await self.app(scope, receive, headed)


def page_file(name: str) -> str:
    """A file of the page; its style stands on the report's."""
    if name == "view.css":
        return f"{_text('eval.report', 'templates/report.css')}\n{_text('tacos.viewing', 'page/view.css')}"
    return _text("tacos.viewing", f"page/{name}")


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def shell(bundle: bool) -> str:
    """The HTML around everything. bundle: it is opened as a file, and its data comes as scripts."""
    loader = PackageLoader("tacos.viewing", "page")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return made.get_template("view.html.j2").render(bundle=bundle, scripts=SCRIPTS)


def application(runs: Shelf) -> Starlette:
    """The page over these runs."""
    pages = _Pages(runs)
    at = "/api/runs/{run}"
    routes = [
        Route("/", pages.shell),
        Route("/assets/{name}", pages.asset),
        Route("/plots/{run}/{name}", pages.plot),
        Route("/reports/{run}", pages.report),
        Route("/api/runs", pages.runs),
        Route(at, pages.overview),
        Route(f"{at}/choices", pages.choices),
        Route(f"{at}/samples", pages.samples),
        Route(f"{at}/samples/{{id:path}}", pages.story),
        Route(f"{at}/map", pages.map),
        Route(f"{at}/answers", pages.answers),
    ]
    guards = [
        Middleware(ReadOnly),
        Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False),
    ]
    app = Starlette(routes=routes, middleware=guards)
    app.router.redirect_slashes = False
    return app


def serve(runs: Shelf, port: int, tell: Callable[[str], None]) -> None:
    """Until Ctrl-C. tell: is given the address once the port is taken.

    Raises: TacosError where the port is in use.
    """
    with socket.socket() as bound, suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, port))
            bound.listen()  # so that who is told the address can ask at once, and waits until the server runs
        except OSError as error:
            raise TacosError(f"port {port} of {HOST} is in use: give another --port, or 0 for any") from error
        config = uvicorn.Config(application(runs), log_level="warning", access_log=False, lifespan="off")
        tell(f"http://{HOST}:{bound.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[bound])


class _Pages:
    """One method per route. They are plain functions, so that a slow one runs beside the others."""

    def __init__(self, runs: Shelf):
        self.known = runs
        self.files = {name: page_file(name) for name in ASSETS}
        self.html = shell(bundle=False)

    def shell(self, request: Request) -> Response:
        return Response(self.html, media_type="text/html")

    def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.files:
            raise HTTPException(404)
        return Response(self.files[name], media_type=ASSETS[name])

    def plot(self, request: Request) -> Response:
        path = self._run(request).plots.get(request.path_params["name"])
        if path is None or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, media_type="image/png")

    def report(self, request: Request) -> Response:
        text = self._run(request).report("/")
        if text is None:
            raise HTTPException(404)
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})

    def runs(self, request: Request) -> Response:
        return _json(as_json(self.known.cards()))

    def overview(self, request: Request) -> Response:
        return _json(as_json(self._run(request).overview()))

    def choices(self, request: Request) -> Response:
        asked = _query(MapQuery, request)
        return self._found(lambda: self._run(request).choices(asked.arm, asked.seed))

    def samples(self, request: Request) -> Response:
        asked = _query(SampleQuery, request)
        return self._found(lambda: self._run(request).samples(asked))

    def story(self, request: Request) -> Response:
        return self._found(lambda: self._run(request).story(request.path_params["id"]))

    def map(self, request: Request) -> Response:
        asked = _query(MapQuery, request)
        return self._found(lambda: self._run(request).map_page(asked))

    def answers(self, request: Request) -> Response:
        asked = _query(AnswerQuery, request)
        return self._found(lambda: self._run(request).answers(asked))

    def _run(self, request: Request) -> ViewedRun:
        run = self.known.get(request.path_params["run"])
        if run is None:
            raise HTTPException(404)
        return run

    def _found(self, ask: Callable[[], BaseModel]) -> Response:
        try:
            return _json(as_json(ask()))
        except KeyError as error:
            raise HTTPException(404, f"there is no {error.args[0]!r}") from error
        except ValueError as error:
            raise HTTPException(400, str(error)) from error


def _query(form: type[Q], request: Request) -> Q:
    """The query string as a record; a field that is empty is unset."""
    given = {name: value for name, value in request.query_params.items() if value != ""}
    try:
        return form.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise HTTPException(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")
