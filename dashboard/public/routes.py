"""Pages and files for everybody, signed in or not: the community, its chain, its open data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response

from dashboard.access import Problem, Visitor, anyone
from dashboard.accounts.limits import Limits
from dashboard.days import day_of, parse_day
from dashboard.public import chain as chains
from dashboard.public.chain import HeadView, WayView, newest_head, published_heads
from dashboard.public.open_data import COLUMNS, NoParquetError, OpenData, csv_text, open_interval, parquet_bytes
from dashboard.public.published import LEAST_HOMES, MANY_HOMES, Published
from dashboard.public.views import PublicView, Span, public_view, refresh, span_of
from dashboard.settings import folder
from dashboard.site import Site

Anyone = Annotated[Visitor, Depends(anyone)]
Day = Annotated[str | None, Query(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="a local day, included")]
After = Annotated[int, Query(ge=0, le=2**53, description="heads with a greater number")]
Most = Annotated[int, Query(ge=1, le=chains.MOST_HEADS)]
Head = Annotated[int, Query(ge=1, le=2**53, description="a head's number")]
FRESH_S = 60
"""How long anybody may keep what everybody gets alike."""
REQUESTS_A_MINUTE = 240
"""From one address, of those who are not signed in."""


class Csv(Response):
    media_type = "text/csv"


class Parquet(Response):
    media_type = "application/vnd.apache.parquet"


class JsonLines(Response):
    media_type = "application/jsonl"


def router(site: Site) -> APIRouter:
    published = Published(folder(site.store))
    limits = Limits({"address": REQUESTS_A_MINUTE}, 60)

    def unhurried(request: Request, visitor: Anyone) -> None:
        """Everybody, but nobody too often."""
        if visitor.account is None:
            address = request.client.host if request.client else ""
            wait_s = limits.wait_s({"address": address})
            if wait_s:
                raise Problem(429, "too-often", f"too many requests; wait {wait_s} s", {"Retry-After": str(wait_s)})

    routes = APIRouter(dependencies=[Depends(unhurried)])

    def for_page(request: Request, visitor: Visitor, make: Callable[[], HTMLResponse]) -> Response:
        """A page that is made again only when something changed since the reader last had it."""
        who = f"{visitor.account} {visitor.csrf} {visitor.language} {visitor.household} {visitor.role}"
        tag = _tag(who, str(site.record.change_counter()), _day(site).isoformat())
        if _has(request, tag):
            return Response(status_code=304, headers={"ETag": tag, "Vary": "Cookie, Accept-Language"})
        answer = make()
        answer.headers["ETag"] = tag
        return answer

    def for_everybody(request: Request, content: bytes, kind: type[Response], name: str | None = None) -> Response:
        """A file that is the same for everybody."""
        tag = _tag(hashlib.sha256(content).hexdigest())
        headers = {"ETag": tag, "Cache-Control": f"public, max-age={FRESH_S}", "Access-Control-Allow-Origin": "*"}
        if _has(request, tag):
            return Response(status_code=304, headers=headers)
        if name is not None:
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        # Open data may be used by pages of other origins.
        return kind(content, headers={**headers, "Cross-Origin-Resource-Policy": "cross-origin"})

    def span(first: str | None, last: str | None) -> Span:
        refresh(site, published)
        return span_of(site, parse_day(first) if first else None, parse_day(last) if last else None)

    def data(of: Span) -> OpenData:
        community = site.record.community()
        return OpenData(
            community=community.name,
            currency=community.currency,
            timezone=community.timezone,
            first_day=of.first.isoformat(),
            last_day=of.last.isoformat(),
            licence=site.settings.licence,
            intervals=[open_interval(row) for row in published.rows(of.start, of.end)],
        )

    # -- the community -----------------------------------------------------------------------

    @routes.get("/", response_class=HTMLResponse)
    def public_page(request: Request, visitor: Anyone) -> Response:
        """The community: what its homes shared, what a kWh costs, the chain's newest head."""

        def make() -> HTMLResponse:
            refresh(site, published)
            return site.page(request, "public/public.html", visitor, view=public_view(site, published))

        return for_page(request, visitor, make)

    @routes.get("/api/1/")
    def public_json(visitor: Anyone) -> PublicView:
        """The community: what its homes shared, what a kWh costs, the chain's newest head."""
        refresh(site, published)
        return public_view(site, published)

    # -- the chain ---------------------------------------------------------------------------

    @routes.get("/chain", response_class=HTMLResponse)
    def chain_page(request: Request, visitor: Anyone) -> Response:
        """The newest head, the key that signs it, and how anybody checks both."""

        def make() -> HTMLResponse:
            head = newest_head(site.record.read(), site.store)
            return site.page(request, "public/chain.html", visitor, head=head)

        return for_page(request, visitor, make)

    @routes.get("/api/1/chain")
    def chain_json(visitor: Anyone) -> HeadView:
        """The newest signed head."""
        head = newest_head(site.record.read(), site.store)
        if head is None:
            raise Problem(404, "no-head", "no interval is in the chain yet")
        return head

    @routes.get("/api/1/chain/way")
    def chain_way(visitor: Anyone, newest: Head, number: Head) -> WayView:
        """The heads that lead from one back to an earlier one: whoever noted that one sees that it still stands."""
        found = chains.way(site.record.read(), newest, number)
        if found is None:
            raise Problem(404, "no-head", f"the chain has no heads {newest} and, before it, {number}")
        return found

    @routes.get("/open/heads.jsonl", response_class=JsonLines)
    def heads_file(request: Request, visitor: Anyone, after: After = 0, most: Most = chains.MOST_HEADS) -> Response:
        """The published heads after a number, the last of them when they are too many; one JSON object a line."""
        lines = published_heads(site.store, after, most)
        return for_everybody(request, b"".join(line + b"\n" for line in lines), JsonLines)

    # -- open data ---------------------------------------------------------------------------

    @routes.get("/open", response_class=HTMLResponse)
    def open_page(request: Request, visitor: Anyone) -> Response:
        """What the open data is: its columns, what is withheld and why, its licence."""

        def make() -> HTMLResponse:
            return site.page(
                request,
                "public/open.html",
                visitor,
                columns=COLUMNS,
                least=LEAST_HOMES,
                many=MANY_HOMES,
                licence=site.settings.licence,
            )

        return for_page(request, visitor, make)

    @routes.get("/open/community.json")
    def open_json(visitor: Anyone, response: Response, first: Day = None, last: Day = None) -> OpenData:
        """The community's published intervals of local days, at most a year; without days the last month."""
        response.headers["Cache-Control"] = f"public, max-age={FRESH_S}"
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return data(span(first, last))

    @routes.get("/open/community.csv", response_class=Csv)
    def open_csv(request: Request, visitor: Anyone, first: Day = None, last: Day = None) -> Response:
        """The same as CSV."""
        of = span(first, last)
        text = csv_text(published.rows(of.start, of.end))
        return for_everybody(request, text.encode(), Csv, f"community-{of.first}-{of.last}.csv")

    @routes.get("/open/community.parquet", response_class=Parquet)
    def open_parquet(request: Request, visitor: Anyone, first: Day = None, last: Day = None) -> Response:
        """The same as Parquet, where pyarrow is installed."""
        of = span(first, last)
        try:
            content = parquet_bytes(published.rows(of.start, of.end))
        except NoParquetError:
            raise Problem(503, "no-parquet", "the extra 'parquet' (pyarrow) is not installed here") from None
        name = f"community-{of.first}-{of.last}.parquet"
        return for_everybody(request, content, Parquet, name)

    return routes


def _day(site: Site) -> date:
    return day_of(int(site.clock()), ZoneInfo(site.record.community().timezone)).date


def _tag(*parts: str) -> str:
    """Weak: the bytes differ by their compression."""
    return f'W/"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}"'


def _has(request: Request, tag: str) -> bool:
    known = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
    return tag in known or "*" in known
