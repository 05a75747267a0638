"""What operators and auditors read: pages, and the same as JSON under /api/1."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Security
from fastapi.responses import HTMLResponse, StreamingResponse

from dashboard import words
from dashboard.access import Visitor, auditors
from dashboard.days import FIRST_DAY, LAST_DAY, LAST_MOMENT, MONTH
from dashboard.operator.auditing import AuditView, audit_view
from dashboard.operator.background import Background
from dashboard.operator.corrections import CorrectionsView, Form, corrections_view, local_time
from dashboard.operator.history import HistoryView, history_view
from dashboard.operator.intervals import DayView, IntervalView, Shown, day_view, interval_view
from dashboard.operator.members import MembersView, members_view
from dashboard.operator.meters import MeterPage, MetersView, Show, meter_page, meters_view
from dashboard.operator.month_rules import MonthView, month_view
from dashboard.operator.network import NetworkView, network_view
from dashboard.operator.today import TodayView, today_view
from dashboard.operator.under import UnderView, known_mechanism, under_view
from dashboard.site import Site
from market.service.other_rules import NAMES

Reader = Annotated[Visitor, Security(auditors, scopes=["auditor:read"])]
Moment = Annotated[int, Query(ge=0, lt=LAST_MOMENT, description="the interval's start [epoch s]")]
Start = Annotated[int, Path(ge=0, lt=LAST_MOMENT, description="the interval's start [epoch s]")]
Revision = Annotated[int, Query(ge=0, lt=2**31)]
Page = Annotated[int, Query(ge=1, lt=2**31)]
Words = Annotated[str, Query(max_length=64, description="part of a name")]
NodeName = Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
MeterName = Annotated[str, Path(pattern="^[a-z0-9-]{1,32}$", description="a meter's name")]
MonthName = Annotated[str, Query(pattern=f"^{MONTH}$", description="2026-07")]
Mechanism = Annotated[str, Path(pattern="^[a-z-]{1,32}$", description=f"one of {', '.join(NAMES)}")]
Day = Annotated[date, Query(ge=FIRST_DAY, le=LAST_DAY)]
Register = Annotated[int, Query(ge=0, lt=2**53)]


def add(routes: APIRouter, site: Site, background: Background) -> None:
    """Add the routes."""
    _add_overview(routes, site, background)
    _add_meters(routes, site)
    _add_intervals(routes, site)
    _add_rules(routes, site, background)
    _add_records(routes, site, background)


def new_page(site: Site, request: Request, visitor: Visitor, title: str, text: str) -> HTMLResponse:
    """What a room that shows what was settled says before anything was, by its words' keys."""
    return site.page(request, "operator/new.html", visitor, title=title, text=text, follows=True, home=None)


def _add_overview(routes: APIRouter, site: Site, background: Background) -> None:
    @routes.get("/operator", response_class=HTMLResponse)
    def operator_page(request: Request, visitor: Reader) -> HTMLResponse:
        """What needs an operator today."""
        return site.page(
            request, "operator/today.html", visitor, view=today_view(site, background), follows=True, home=None
        )

    @routes.get("/api/1/operator")
    def operator_today(visitor: Reader) -> TodayView:
        return today_view(site, background)

    @routes.get("/operator/events", response_class=StreamingResponse)
    def operator_events(visitor: Reader) -> StreamingResponse:
        """Server-sent events: one `change` now and one after every change of the record."""
        return site.events(visitor)

    @routes.get("/operator/network", response_class=HTMLResponse)
    def network_page(
        request: Request, visitor: Reader, start: Moment | None = None, at: NodeName | None = None, page: Page = 1
    ) -> HTMLResponse:
        """The network tree of the newest settled interval, or of a chosen one; a sentence before there is one."""
        if start is None and site.record.read().last_gate() is None:
            return new_page(site, request, visitor, "operator.network.title", "operator.network.new")
        view = network_view(site, start, at, page)
        follows = start is None
        return site.page(request, "operator/network.html", visitor, view=view, follows=follows, home=None)

    @routes.get("/api/1/operator/network")
    def operator_network(
        visitor: Reader, start: Moment | None = None, at: NodeName | None = None, page: Page = 1
    ) -> NetworkView:
        return network_view(site, start, at, page)


def _add_meters(routes: APIRouter, site: Site) -> None:
    @routes.get("/operator/meters", response_class=HTMLResponse)
    def meters_page(
        request: Request, visitor: Reader, show: Show = "all", query: Words = "", page: Page = 1
    ) -> HTMLResponse:
        """Every meter: how it is, and when it was heard."""
        view = meters_view(site, show, query, page)
        return site.page(request, "operator/meters.html", visitor, view=view, home=None)

    @routes.get("/api/1/operator/meters")
    def operator_meters(visitor: Reader, show: Show = "all", query: Words = "", page: Page = 1) -> MetersView:
        return meters_view(site, show, query, page)

    @routes.get("/operator/meters/{meter}", response_class=HTMLResponse)
    def one_meter_page(request: Request, visitor: Reader, meter: MeterName) -> HTMLResponse:
        return site.page(request, "operator/meter.html", visitor, view=meter_page(site, meter), home=None)

    @routes.get("/api/1/operator/meters/{meter}")
    def operator_meter(visitor: Reader, meter: MeterName) -> MeterPage:
        return meter_page(site, meter)


def _add_intervals(routes: APIRouter, site: Site) -> None:
    @routes.get("/operator/intervals", response_class=HTMLResponse)
    def intervals_page(request: Request, visitor: Reader, day: Day | None = None) -> HTMLResponse:
        """A local day's intervals as they were settled."""
        view = day_view(site, day)
        return site.page(request, "operator/intervals.html", visitor, view=view, follows=day is None, home=None)

    @routes.get("/api/1/operator/intervals")
    def operator_intervals(visitor: Reader, day: Day | None = None) -> DayView:
        return day_view(site, day)

    @routes.get("/operator/intervals/{start}", response_class=HTMLResponse)
    def interval_page(
        request: Request,
        visitor: Reader,
        start: Start,
        revision: Revision | None = None,
        shown: Shown = "households",
        page: Page = 1,
    ) -> HTMLResponse:
        """One interval: its certificate, who gained, its book, prices, matches, transfers and revisions."""
        view = interval_view(site, start, revision, shown, page)
        return site.page(
            request, "operator/interval.html", visitor, view=view, mechanisms=NAMES, verified=None, home=None
        )

    @routes.get("/api/1/operator/intervals/{start}")
    def operator_interval(
        visitor: Reader, start: Start, revision: Revision | None = None, shown: Shown = "households", page: Page = 1
    ) -> IntervalView:
        return interval_view(site, start, revision, shown, page)

    @routes.get("/operator/intervals/{start}/under", response_class=HTMLResponse)
    def under_page(
        request: Request,
        visitor: Reader,
        start: Start,
        mechanism: Annotated[str, Query(pattern="^[a-z-]{1,32}$")],
        page: Page = 1,
    ) -> HTMLResponse:
        """The interval's stored inputs under another mechanism, beside what was settled."""
        view = under_view(site, start, known_mechanism(mechanism), page)
        return site.page(request, "operator/under.html", visitor, view=view, mechanisms=NAMES, home=None)

    @routes.get("/api/1/operator/intervals/{start}/under")
    def operator_interval_under(
        visitor: Reader, start: Start, mechanism: Annotated[str, Query(pattern="^[a-z-]{1,32}$")], page: Page = 1
    ) -> UnderView:
        return under_view(site, start, known_mechanism(mechanism), page)


def _add_rules(routes: APIRouter, site: Site, background: Background) -> None:
    @routes.get("/operator/rules", response_class=HTMLResponse)
    def rules_page(request: Request, visitor: Reader, month: MonthName | None = None) -> HTMLResponse:
        """A month under other rules; worked out in the background when it is asked for."""
        if month is None and site.record.read().last_gate() is None:
            return new_page(site, request, visitor, "operator.rules.title", "operator.rules.new")
        view = month_view(site, background, month)
        return site.page(request, "operator/rules.html", visitor, view=view, home=None)

    @routes.get("/api/1/operator/rules")
    def operator_rules(visitor: Reader, month: MonthName | None = None) -> MonthView:
        return month_view(site, background, month)


def _add_records(routes: APIRouter, site: Site, background: Background) -> None:
    @routes.get("/operator/members", response_class=HTMLResponse)
    def members_page(request: Request, visitor: Reader, query: Words = "", page: Page = 1) -> HTMLResponse:
        """Households, their meters and who may sign in for them."""
        view = members_view(site, query, page)
        return site.page(request, "operator/members.html", visitor, view=view, home=None)

    @routes.get("/api/1/operator/members")
    def operator_members(visitor: Reader, query: Words = "", page: Page = 1) -> MembersView:
        return members_view(site, query, page)

    @routes.get("/operator/corrections", response_class=HTMLResponse)
    def corrections_page(
        request: Request,
        visitor: Reader,
        meter: Annotated[str, Query(pattern="^[a-z0-9-]{0,32}$")] = "",
        start: Moment | None = None,
        import_wh: Register | None = None,
        export_wh: Register | None = None,
        generation_wh: Register | None = None,
        consumption_wh: Register | None = None,
    ) -> HTMLResponse:
        """Gaps, estimates, messages that were not believed, disputes; the query fills in the form for a correction."""
        form = Form(meter, start, import_wh, export_wh, generation_wh, consumption_wh, "", False)
        view = corrections_view(site, form)
        interval = local_time(site, start)
        return site.page(
            request, "operator/corrections.html", visitor, view=view, interval=interval, problem=None, home=None
        )

    @routes.get("/api/1/operator/corrections")
    def operator_corrections(visitor: Reader) -> CorrectionsView:
        return corrections_view(site, Form("", None, None, None, None, None, "", False))

    @routes.get("/operator/audit", response_class=HTMLResponse)
    def audit_page(request: Request, visitor: Reader) -> HTMLResponse:
        """What the last replay and audit found, and how far one that runs has come."""
        view = audit_view(site, background)
        return site.page(request, "operator/audit.html", visitor, view=view, home=None)

    @routes.get("/api/1/operator/audit")
    def operator_audit(visitor: Reader) -> AuditView:
        return audit_view(site, background)

    @routes.get("/operator/log", response_class=HTMLResponse)
    def log_page(
        request: Request, visitor: Reader, before: Annotated[int, Query(ge=1, lt=2**53)] | None = None
    ) -> HTMLResponse:
        """Who did what."""
        view = history_view(site, before)
        says = {deed.action: words.action(visitor.language, deed.action) for deed in view.deeds}
        return site.page(request, "operator/log.html", visitor, view=view, says=says, home=None)

    @routes.get("/api/1/operator/log")
    def operator_log(visitor: Reader, before: Annotated[int, Query(ge=1, lt=2**53)] | None = None) -> HistoryView:
        return history_view(site, before)
