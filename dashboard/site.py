"""What every page is made with: the record, the series, the accounts, and the templates in the reader's language."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse, StreamingResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboard import figures, words
from dashboard.access import Problem, Visitor, visit_cookie
from dashboard.accounts import Accounts
from dashboard.changes import Changes
from dashboard.record import CommunityRecord
from dashboard.settings import Settings
from market.record import Record
from market.series.points import Series

HERE = Path(__file__).parent
STREAMS_EACH = 60
"""Of one account: nobody's open pages shut out everybody else's."""


@dataclass(frozen=True)
class Site:
    """The community's dashboard. ``clock`` is the community's time [epoch s]: a simulated one's is not the wall's."""

    record: CommunityRecord
    series: Series
    accounts: Accounts
    settings: Settings
    clock: Callable[[], float]
    changes: Changes
    store: Path
    max_streams: int

    def page(
        self, request: Request, template: str, visitor: Visitor, status: int = 200, **context: object
    ) -> HTMLResponse:
        """A template in the visitor's language. ``home`` is the household whose pages the navigation leads to."""
        community = self.record.community()
        pages = templates(visitor.language, community.currency, community.timezone)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        context = {
            "visitor": visitor, "community": community, "settings": self.settings, "path": request.url.path,
            "here": path, "home": visitor.household, **context,
        }  # fmt: skip
        answer = HTMLResponse(pages.get_template(template).render(context), status)
        answer.headers["Content-Language"] = visitor.language
        answer.headers["Vary"] = "Cookie, Accept-Language"
        if visitor.account is not None:
            answer.headers["Cache-Control"] = "private, no-cache"
        visit = getattr(request.state, "visit", None)
        if visit is not None:
            secure = request.url.scheme == "https"
            answer.set_cookie(visit_cookie(request), visit, httponly=True, samesite="lax", secure=secure)
        return answer

    def compile_pages(self) -> None:
        """Have every template ready in every language, so that nobody's first page waits for it."""
        community = self.record.community()
        for language in words.LANGUAGES:
            pages = templates(language, community.currency, community.timezone)
            for name in pages.list_templates():
                pages.get_template(name)

    def events(self, visitor: Visitor) -> StreamingResponse:
        """Server-sent events: one `change` now and one after every change of the record."""
        reader = visitor.account or ""
        if self.changes.streams >= self.max_streams or self.changes.streams_of[reader] >= STREAMS_EACH:
            raise Problem(503, "too-many-streams", "too many pages follow changes already")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self.changes.stream(reader), media_type="text/event-stream", headers=headers)

    @contextmanager
    def writer(self) -> Iterator[Record]:
        """The record, to store inputs or corrections in; safe beside a running market. Raises RecordError."""
        record = Record(self.store)
        try:
            yield record
        finally:
            record.close()


@lru_cache(maxsize=16)
def templates(language: str, currency: str, timezone: str) -> Environment:
    """The templates for readers of a language in a community: words, dates and money as they write them."""
    pages = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    zone = ZoneInfo(timezone)
    written = figures.currency(currency, language)
    pages.globals.update(
        t=partial(words.say, language),
        action=partial(words.action, language),
        lang=language,
        languages=words.LANGUAGES,
        currency=written,
        timezone=timezone,
        parquet=importlib.util.find_spec("pyarrow") is not None,
    )
    pages.filters.update(
        power=figures.power,
        energy=figures.energy,
        kwh=figures.kwh,
        percent=figures.percent,
        permille=figures.permille,
        money=written.money,
        signed=written.signed,
        price=written.price,
        date=partial(figures.long_date, language=language),
        short_date=partial(figures.short_date, language=language),
        month=partial(figures.month, language=language),
        clock=partial(figures.clock, zone=zone),
        moment=partial(figures.moment, zone=zone, language=language),
        iso=lambda moment: datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z"),
    )
    return pages
