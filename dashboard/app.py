"""The web application: the rooms' routes under one roof, and what is said when something is not there.

Everything it needs is an argument: the record, the series, the accounts, the clock, and the event that ends open
streams. It computes no money and no energy.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from dashboard import access, general, words
from dashboard.access import Problem, problems
from dashboard.accounts import Accounts
from dashboard.accounts import routes as accounts_routes
from dashboard.advice import routes as advice
from dashboard.bills import routes as bills
from dashboard.changes import HEARTBEAT_S, POLL_S, Changes
from dashboard.days import DayError
from dashboard.household import routes as household
from dashboard.operator import routes as operator
from dashboard.public import routes as public
from dashboard.record import CommunityRecord
from dashboard.security import HEADERS, BodyLimit, Hosts, SecurityHeaders
from dashboard.settings import Settings
from dashboard.site import HERE, Site
from market.record import RecordError
from market.series.points import Series, SeriesError

MAX_STREAMS = 2000
log = logging.getLogger(__name__)
ROOMS = (general, accounts_routes, household, bills, advice, operator, public)
"""Whatever has a ``router(site)``."""


def create_app(
    record: CommunityRecord,
    series: Series,
    accounts: Accounts,
    *,
    store: Path,
    settings: Settings | None = None,
    clock: Callable[[], float] = time.time,
    wall: Callable[[], float] = time.time,
    stopping: threading.Event | None = None,
    allowed_hosts: Sequence[str] = ("*",),
    poll_s: float = POLL_S,
    heartbeat_s: float = HEARTBEAT_S,
    max_streams: int = MAX_STREAMS,
) -> FastAPI:
    """The dashboard over a record, a series and accounts; it closes none of them.

    ``clock`` is the community's time, ``wall`` that of the machine. Set `stopping` when the server begins to shut
    down: event streams end within `poll_s`. `allowed_hosts` are the names the pages answer to, beside addresses;
    "*" is any.
    """
    changes = Changes(
        record.change_counter,
        stopping or threading.Event(),
        poll_s=poll_s,
        heartbeat_s=heartbeat_s,
        clock=wall,
    )
    site = Site(record, series, accounts, settings or Settings(), clock, changes, store, max_streams)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        polling = asyncio.create_task(changes.poll(), name="poll the record")
        try:
            yield
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    # The interactive documentation would load its scripts from elsewhere.
    app = FastAPI(title="Pumasi", docs_url=None, redoc_url=None, lifespan=lifespan, responses=problems)
    app.state.site = site
    # The last added is the outermost.
    app.add_middleware(GZipMiddleware, minimum_size=600, compresslevel=6)
    app.add_middleware(BodyLimit)
    app.add_middleware(Hosts, names=allowed_hosts)
    app.add_middleware(SecurityHeaders)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for room in ROOMS:
        app.include_router(room.router(site))
    _say_problems(app)
    return app


def _say_problems(app: FastAPI) -> None:
    """Every failure that is expected has a name, as JSON for programs and as a page for people."""

    @app.exception_handler(Problem)
    def named(request: Request, error: Problem) -> Response:
        return _answer(request, error)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        names = {400: "bad-request", 404: "not-found", 405: "not-allowed", 413: "too-large"}
        name = names.get(error.status_code, "refused")
        detail = "" if error.status_code == 404 else str(error.detail)
        return _answer(request, Problem(error.status_code, name, detail, dict(error.headers or {})))

    @app.exception_handler(RequestValidationError)
    def bad_value(request: Request, error: RequestValidationError) -> Response:
        first: dict[str, Any] = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return _answer(request, Problem(422, "bad-value", f"{place}: {first['msg']}"))

    @app.exception_handler(DayError)
    def bad_day(request: Request, error: DayError) -> Response:
        return _answer(request, Problem(400, "bad-day", str(error)))

    @app.exception_handler(SeriesError)
    def no_series(request: Request, error: SeriesError) -> Response:
        # Where databases lie is for the log: anybody may see these pages.
        log.warning("the series cannot be read: %s", error)
        return _answer(request, Problem(503, "no-series", "the series cannot be read right now; the log says why"))

    @app.exception_handler(RecordError)
    def no_record(request: Request, error: RecordError) -> Response:
        log.warning("the record cannot be read: %s", error)
        return _answer(request, Problem(503, "no-record", "the record cannot be read right now; the log says why"))

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> Response:
        # Made outside of all middleware; what went wrong is for the log alone.
        body = {"problem": "failed", "detail": "this should not have happened; the log says more"}
        return JSONResponse(body, 500, {**HEADERS, "Cache-Control": "no-store"})


def _answer(request: Request, problem: Problem) -> Response:
    if _wants_json(request):
        body = {"problem": problem.problem, "detail": problem.detail}
        return JSONResponse(body, problem.status, {"Cache-Control": "no-store", **problem.headers})
    if problem.problem == "not-signed-in" and request.method in access.SAFE_METHODS:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/sign-in?{access.next_query(request.url.path + query)}", 303)
    try:
        visitor = access.identify(request)
    except Problem:
        visitor = access.nobody(request)
    status = problem.status if problem.status in (403, 404, 503) else "other"
    known = words.problem(visitor.language, problem.problem, request.url.path.split("/")[1])
    answer = access.site_of(request).page(
        request,
        "site/problem.html",
        visitor,
        problem.status,
        title=words.say(visitor.language, f"site.failed.{status}"),
        said=known or HTTPStatus(problem.status).phrase,
        # In English, for whoever looks for the reason; other readers get it where there is nothing else.
        detail=problem.detail if known is None or visitor.language == "en" else "",
    )
    answer.headers.update(problem.headers)
    return answer


def _wants_json(request: Request) -> bool:
    path, accepted = request.url.path, request.headers.get("accept", "")
    return (
        path.startswith(("/api/", "/open/"))
        or path.endswith((".json", "/health", "/events"))
        or "authorization" in request.headers
        or ("application/json" in accepted and "text/html" not in accepted)
    )
