"""The web application: pages, the live fragment, the chart's data and the event stream.

Everything it needs is an argument: the record, the series, the clock, and the event that ends open
streams. It computes no money and no energy; see `dashboard.figures` for how figures are written.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.staticfiles import StaticFiles

from dashboard import figures
from dashboard.changes import HEARTBEAT_S, POLL_S, Changes
from dashboard.days import DayError, day_of, parse_day
from dashboard.record import CommunityRecord, HouseholdInfo
from dashboard.security import SecurityHeaders
from dashboard.view import View, day_chart, view
from market.series.points import Series, SeriesError

MAX_STREAMS = 2000
HERE = Path(__file__).parent


def create_app(
    record: CommunityRecord,
    series: Series,
    *,
    clock: Callable[[], float] = time.time,
    stopping: threading.Event | None = None,
    allowed_hosts: Sequence[str] = ("*",),
    poll_s: float = POLL_S,
    heartbeat_s: float = HEARTBEAT_S,
    max_streams: int = MAX_STREAMS,
) -> FastAPI:
    """The dashboard over a record and a series; it closes neither.

    Set `stopping` when the server begins to shut down: event streams end within `poll_s`.
    `allowed_hosts` are the names the pages answer to (other names are refused: DNS rebinding).
    """
    changes = Changes(
        record.change_counter,
        stopping or threading.Event(),
        poll_s=poll_s,
        heartbeat_s=heartbeat_s,
        clock=clock,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        polling = asyncio.create_task(changes.poll(), name="poll the record")
        try:
            yield
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    # The interactive documentation would load its scripts from elsewhere.
    app = FastAPI(title="Pumasi", docs_url=None, redoc_url=None, lifespan=lifespan)
    # The last added is the outermost.
    app.add_middleware(GZipMiddleware, minimum_size=600, compresslevel=6)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts), www_redirect=False)
    app.add_middleware(SecurityHeaders)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    pages = _pages()

    def page(template: str, status: int = 200, **context: object) -> HTMLResponse:
        return HTMLResponse(pages.get_template(template).render(context), status)

    def find(household: str) -> tuple[Sequence[HouseholdInfo], HouseholdInfo]:
        households = record.households()
        for member in households:
            if member.household == household:
                return households, member
        raise HTTPException(404, "household")

    def today() -> date:
        return day_of(int(clock()), ZoneInfo(record.community().timezone)).date

    def gather(household: str, day: str | None) -> View:
        chosen = parse_day(day) if day else None
        households, member = find(household)
        return view(record, series, households, member, chosen, today())

    @app.get("/", include_in_schema=False)
    def first_household() -> Response:
        households = record.households()
        if not households:
            return page("message.html", 503, reason="no-members", detail="")
        chosen = next((h for h in households if h.has_generation), households[0])
        return RedirectResponse(f"/household/{chosen.household}", 303)

    @app.get("/household", include_in_schema=False)
    def choose_household(household: str = "", day: str = "") -> Response:
        _, member = find(household)
        query = f"?day={parse_day(day).isoformat()}" if day else ""
        return RedirectResponse(f"/household/{member.household}{query}", 303)

    @app.get("/household/{household}", response_class=HTMLResponse)
    def household_page(household: str, day: str | None = None) -> HTMLResponse:
        """One household's page for a local day, by default the day of the last settled interval."""
        found = gather(household, day)
        return page("household.html", view=found, live=False, currency=figures.currency(found.community.currency))

    @app.get("/household/{household}/live", response_class=HTMLResponse)
    def live(household: str, day: str | None = None) -> HTMLResponse:
        """The changing parts of the page, to be swapped in by their ids."""
        found = gather(household, day)
        return page("live.html", view=found, live=True, currency=figures.currency(found.community.currency))

    @app.get("/household/{household}/day.json")
    def day_json(household: str, day: str | None = None) -> JSONResponse:
        """A local day by interval: mean power [W], null where nothing is known."""
        chosen = parse_day(day) if day else None
        find(household)
        return JSONResponse(day_chart(record, series, household, chosen, today()))

    @app.get("/household/{household}/events", response_class=StreamingResponse)
    async def events(household: str) -> StreamingResponse:
        """Server-sent events: one `change` now and one after every change of the record."""
        await asyncio.to_thread(find, household)
        if changes.streams >= max_streams:
            raise HTTPException(503, "too many pages follow changes already; figures are still there on reload")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(changes.stream(), media_type="text/event-stream", headers=headers)

    @app.get("/health")
    def health() -> JSONResponse:
        """Whether record and series answer, and how long nothing has changed."""
        last = record.last_interval()
        series.community(0, 0)
        return JSONResponse(
            {
                "status": "ok",
                "last_interval": None if last is None else datetime.fromtimestamp(last.start, UTC).isoformat(),
                "change_counter": record.change_counter(),
                "unchanged_s": None if changes.changed_at is None else round(clock() - changes.changed_at, 1),
                "streams": changes.streams,
            }
        )

    def refusal(request: Request, status: int, reason: str, detail: str = "") -> Response:
        if request.url.path.endswith((".json", "/health")):
            return JSONResponse({"error": reason, "detail": detail}, status)
        return page("message.html", status, reason=reason, detail=detail)

    @app.exception_handler(HTTPException)
    def not_there(request: Request, error: HTTPException) -> Response:
        reason = (
            "no-household" if error.detail == "household" else "not-found" if error.status_code == 404 else "refused"
        )
        return refusal(request, error.status_code, reason, "" if error.status_code == 404 else str(error.detail))

    @app.exception_handler(DayError)
    def bad_day(request: Request, error: DayError) -> Response:
        return refusal(request, 400, "bad-day", str(error))

    @app.exception_handler(SeriesError)
    def no_series(request: Request, error: SeriesError) -> Response:
        return refusal(request, 503, "no-series", str(error))

    return app


def _pages() -> Environment:
    pages = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(
        power=figures.power, energy=figures.energy, kwh=figures.kwh, percent=figures.percent, permille=_percent_width
    )
    return pages


def _percent_width(permille: int) -> str:
    """A length for an SVG attribute."""
    return f"{permille / 10:g}%"
