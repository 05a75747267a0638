"""What operators do: let in and throw out, correct, answer; and what takes long, which auditors may start too."""

from __future__ import annotations

import tempfile
from datetime import date, datetime
from pathlib import Path as FilePath
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Body, Form, Path, Query, Request, Security
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.background import BackgroundTask

from dashboard.access import Problem, Visitor, operators
from dashboard.accounts import people
from dashboard.accounts.database import AccountsError
from dashboard.days import FIRST_DAY, LAST_DAY, LAST_MOMENT, MONTH, day_of
from dashboard.operator import auditing, corrections, members, month_rules
from dashboard.operator.background import Background
from dashboard.operator.corrections import Form as CorrectionForm
from dashboard.operator.corrections import Preview, corrections_view
from dashboard.operator.intervals import interval_view
from dashboard.operator.members import Invited, Labelled
from dashboard.operator.reading import MeterName, MonthName, Reader, Revision, Start, new_page
from dashboard.operator.under import Verified, verify
from dashboard.site import Site
from market.service.issuing import NewHousehold
from market.service.other_rules import NAMES
from market.service.table_files import TableFileError, span, write_table
from market.service.tables import TABLES

Operator = Annotated[Visitor, Security(operators, scopes=["operator:write"])]
Identifier = Annotated[str, Form(pattern="^[a-z0-9-]{1,32}$")]
NodeName = Annotated[str, Form(pattern=r"^([A-Za-z0-9._-]{1,64})?$")]
Optional64 = Annotated[str, Form(max_length=64)]
Number = Annotated[str, Form(pattern="^[0-9]{0,15}$")]
InvitationId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
AccountId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
What = Literal["transfers", "readings", "positions", "bills"]
Format = Literal["csv", "parquet"]
MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
LONGEST_EXPORT_DAYS = 400
R = TypeVar("R", bound=Response)


def add(routes: APIRouter, site: Site, background: Background) -> None:
    """Add the routes."""
    _add_meters(routes, site)
    _add_people(routes, site)
    _add_corrections(routes, site)
    _add_long_work(routes, site, background)
    _add_verification(routes, site)
    _add_export(routes, site)


def _add_meters(routes: APIRouter, site: Site) -> None:
    @routes.post("/operator/members", response_class=HTMLResponse)
    def add_member(
        request: Request,
        visitor: Operator,
        household: Identifier,
        meter: Identifier,
        node: NodeName = "",
        tariff: Optional64 = "",
        name: Optional64 = "",
        generates: Annotated[bool, Form()] = False,
    ) -> HTMLResponse:
        """A household with its first meter; without node and tariff, another meter of a household that is there."""
        labelled = members.join(site, visitor, meter, household, _new(node, tariff, name, generates))
        return _once(site.page(request, "operator/label.html", visitor, view=labelled, home=None))

    @routes.post("/api/1/operator/members", status_code=201)
    def operator_member_add(
        response: Response,
        visitor: Operator,
        household: Annotated[str, Body(pattern="^[a-z0-9-]{1,32}$")],
        meter: Annotated[str, Body(pattern="^[a-z0-9-]{1,32}$")],
        node: Annotated[str, Body(pattern=r"^([A-Za-z0-9._-]{1,64})?$")] = "",
        tariff: Annotated[str, Body(max_length=64)] = "",
        name: Annotated[str, Body(max_length=64)] = "",
        generates: Annotated[bool, Body()] = False,
    ) -> Labelled:
        _once(response)
        return members.join(site, visitor, meter, household, _new(node, tariff, name, generates))

    @routes.post("/operator/meters/{meter}/label", response_class=HTMLResponse)
    def label_meter(request: Request, visitor: Operator, meter: MeterName) -> HTMLResponse:
        """A new label; the code of the older one ends."""
        labelled = members.label(site, visitor, meter)
        return _once(site.page(request, "operator/label.html", visitor, view=labelled, home=None))

    @routes.post("/api/1/operator/meters/{meter}/label", status_code=201)
    def operator_meter_label(response: Response, visitor: Operator, meter: MeterName) -> Labelled:
        _once(response)
        return members.label(site, visitor, meter)

    @routes.post("/operator/meters/{meter}/revoke", response_class=RedirectResponse, status_code=303)
    def revoke_meter(visitor: Operator, meter: MeterName) -> RedirectResponse:
        """Throw the meter out, at once and for good."""
        members.revoke(site, visitor, meter)
        return RedirectResponse(f"/operator/meters/{meter}", 303)

    @routes.post("/api/1/operator/meters/{meter}/revoke", status_code=204)
    def operator_meter_revoke(visitor: Operator, meter: MeterName) -> None:
        members.revoke(site, visitor, meter)


def _once(answer: R) -> R:
    """What it shows is a secret: nobody keeps a copy."""
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _new(node: str, tariff: str, name: str, generates: bool) -> NewHousehold | None:
    """A new household's place; None for one that is there. Raises Problem."""
    if not node and not tariff:
        return None
    if not node or not tariff:
        raise Problem(422, "members", "a new household needs a node and a tariff")
    try:
        return NewHousehold(node, tariff, people.check_name(name) if name.strip() else None, generates)
    except AccountsError as error:
        raise Problem(422, str(error), "a name has 1 to 64 characters that can be seen") from None


def _add_people(routes: APIRouter, site: Site) -> None:
    @routes.post("/operator/invitations", response_class=HTMLResponse)
    def invite_person(
        request: Request,
        visitor: Operator,
        role: Annotated[Literal["household", "operator", "auditor"], Form()],
        household: Annotated[str, Form(pattern="^[a-z0-9-]{0,32}$")] = "",
    ) -> HTMLResponse:
        """A link that makes one account, once."""
        invited = members.invite(site, visitor, role, household or None, str(request.base_url))
        return _once(site.page(request, "operator/invited.html", visitor, view=invited, home=None))

    @routes.post("/api/1/operator/invitations", status_code=201)
    def operator_invite(
        request: Request,
        response: Response,
        visitor: Operator,
        role: Annotated[Literal["household", "operator", "auditor"], Body()],
        household: Annotated[str, Body(pattern="^[a-z0-9-]{0,32}$")] = "",
    ) -> Invited:
        _once(response)
        return members.invite(site, visitor, role, household or None, str(request.base_url))

    @routes.post("/operator/invitations/{invitation}/withdraw", response_class=RedirectResponse, status_code=303)
    def withdraw_invitation(visitor: Operator, invitation: InvitationId) -> RedirectResponse:
        members.withdraw(site, visitor, invitation)
        return RedirectResponse("/operator/members", 303)

    @routes.post("/api/1/operator/invitations/{invitation}/withdraw", status_code=204)
    def operator_withdraw(visitor: Operator, invitation: InvitationId) -> None:
        members.withdraw(site, visitor, invitation)

    @routes.post("/operator/accounts/{account}/remove", response_class=RedirectResponse, status_code=303)
    def remove_account(visitor: Operator, account: AccountId) -> RedirectResponse:
        """End an account with its sessions, passkeys and tokens."""
        members.remove(site, visitor, account)
        return RedirectResponse("/operator/members", 303)

    @routes.post("/api/1/operator/accounts/{account}/remove", status_code=204)
    def operator_account_remove(visitor: Operator, account: AccountId) -> None:
        members.remove(site, visitor, account)


def _add_corrections(routes: APIRouter, site: Site) -> None:
    @routes.post("/operator/corrections", response_class=HTMLResponse, response_model=None)
    def correct_page(
        request: Request,
        visitor: Operator,
        meter: Identifier,
        interval: Annotated[str, Form(max_length=25)],
        reason: Annotated[str, Form(max_length=200)],
        import_wh: Number = "",
        export_wh: Number = "",
        generation_wh: Number = "",
        consumption_wh: Number = "",
        final: Annotated[bool, Form()] = False,
        store: Annotated[bool, Form()] = False,
    ) -> HTMLResponse | RedirectResponse:
        """Look at what a correction would change; with ``store`` it is kept."""
        form = CorrectionForm(
            meter, _start(site, interval), _number(import_wh), _number(export_wh), _number(generation_wh),
            _number(consumption_wh), reason, final,
        )  # fmt: skip
        try:
            if store:
                corrections.add(site, visitor, form)
                return RedirectResponse("/operator/corrections#corrections", 303)
            preview = corrections.preview(site, form)
        except Problem as problem:
            view = corrections_view(site, form)
            return site.page(
                request, "operator/corrections.html", visitor, problem.status,
                view=view, interval=interval, problem=problem, home=None,
            )  # fmt: skip
        return site.page(request, "operator/preview.html", visitor, view=preview, interval=interval, home=None)

    @routes.post("/api/1/operator/corrections/preview")
    def operator_correction_preview(visitor: Operator, form: CorrectionForm) -> Preview:
        return corrections.preview(site, form)

    @routes.post("/api/1/operator/corrections", status_code=204)
    def operator_correction_add(visitor: Operator, form: CorrectionForm) -> None:
        corrections.add(site, visitor, form)

    @routes.post("/operator/disputes/{number}/answer", response_class=RedirectResponse, status_code=303)
    def answer_dispute(
        visitor: Operator,
        number: Annotated[int, Path(ge=1, lt=2**53)],
        text: Annotated[str, Form(min_length=1, max_length=2000)],
    ) -> RedirectResponse:
        corrections.answer(site, visitor, number, text)
        return RedirectResponse("/operator/corrections#disputes", 303)

    @routes.post("/api/1/operator/disputes/{number}/answer", status_code=204)
    def operator_dispute_answer(
        visitor: Operator,
        number: Annotated[int, Path(ge=1, lt=2**53)],
        text: Annotated[str, Body(min_length=1, max_length=2000, embed=True)],
    ) -> None:
        corrections.answer(site, visitor, number, text)


def _number(text: str) -> int | None:
    return int(text) if text else None


def _start(site: Site, text: str) -> int:
    """The epoch second of a local time as a browser's form writes it: 2026-07-01T14:15. Raises Problem."""
    try:
        moment = datetime.fromisoformat(text)
        zone = ZoneInfo(site.record.community().timezone)
        start = int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())
    except (ValueError, OverflowError):
        raise Problem(422, "bad-time", "a time is written 2026-07-01T14:15") from None
    if not 0 <= start < LAST_MOMENT:
        raise Problem(422, "bad-time", "a time is written 2026-07-01T14:15")
    return start


def _add_long_work(routes: APIRouter, site: Site, background: Background) -> None:
    @routes.post("/operator/rules", response_class=RedirectResponse, status_code=303)
    def begin_rules(visitor: Reader, month: Annotated[str, Form(pattern=f"^{MONTH}$")]) -> RedirectResponse:
        """Work a month out under other rules."""
        month_rules.begin(site, background, month)
        site.accounts.log(visitor, "rules", month)
        return RedirectResponse(f"/operator/rules?month={month}", 303)

    @routes.post("/api/1/operator/rules", status_code=202)
    def operator_rules_begin(visitor: Reader, month: MonthName) -> None:
        month_rules.begin(site, background, month)
        site.accounts.log(visitor, "rules", month)

    @routes.post("/operator/audit", response_class=RedirectResponse, status_code=303)
    def begin_audit(visitor: Reader) -> RedirectResponse:
        """Replay and audit the whole record in the background."""
        auditing.begin(site, background, visitor)
        site.accounts.log(visitor, "audit")
        return RedirectResponse("/operator/audit", 303)

    @routes.post("/api/1/operator/audit", status_code=202)
    def operator_audit_begin(visitor: Reader) -> None:
        auditing.begin(site, background, visitor)
        site.accounts.log(visitor, "audit")


def _add_verification(routes: APIRouter, site: Site) -> None:
    @routes.post("/operator/intervals/{start}/verify", response_class=HTMLResponse)
    def verify_page(request: Request, visitor: Reader, start: Start, revision: Revision | None = None) -> HTMLResponse:
        """Run the interval again and say whether it comes out as it is stored."""
        verified = verify(site, start, revision)
        site.accounts.log(visitor, "verify", corrections.local_time(site, start))
        view = interval_view(site, start, revision, "households", 1)
        return site.page(
            request, "operator/interval.html", visitor, view=view, mechanisms=NAMES, verified=verified, home=None
        )

    @routes.post("/api/1/operator/intervals/{start}/verify")
    def operator_interval_verify(visitor: Reader, start: Start, revision: Revision | None = None) -> Verified:
        site.accounts.log(visitor, "verify", corrections.local_time(site, start))
        return verify(site, start, revision)


def _add_export(routes: APIRouter, site: Site) -> None:
    @routes.get("/operator/export", response_class=HTMLResponse)
    def export_page(request: Request, visitor: Reader) -> HTMLResponse:
        """What can be taken away as a file; a sentence before anything was settled."""
        if site.record.read().last_gate() is None:
            return new_page(site, request, visitor, "operator.export.title", "operator.export.new")
        first, end = month_rules.span_of(month_rules.months(site, site.record.read())[1], site)
        zone = ZoneInfo(site.record.community().timezone)
        days = [day_of(moment, zone).date for moment in (first, end - 1)]
        return site.page(request, "operator/export.html", visitor, first=days[0], last=days[1], home=None)

    @routes.get("/operator/export/{what}.{form}", response_class=FileResponse)
    def export_file(
        visitor: Reader,
        what: What,
        form: Format,
        first: Annotated[date, Query(ge=FIRST_DAY, le=LAST_DAY)],
        last: Annotated[date, Query(ge=FIRST_DAY, le=LAST_DAY)],
    ) -> FileResponse:
        """A table of the record, as `pumasi export` writes it: local days, both included."""
        return _export(site, visitor, what, form, first, last)

    @routes.get("/api/1/operator/export/{what}.{form}", response_class=FileResponse)
    def operator_export(
        visitor: Reader,
        what: What,
        form: Format,
        first: Annotated[date, Query(ge=FIRST_DAY, le=LAST_DAY)],
        last: Annotated[date, Query(ge=FIRST_DAY, le=LAST_DAY)],
    ) -> FileResponse:
        return _export(site, visitor, what, form, first, last)


def _export(site: Site, visitor: Visitor, what: What, form: Format, first: date, last: date) -> FileResponse:
    if last < first or (last - first).days > LONGEST_EXPORT_DAYS:
        raise Problem(422, "bad-span", f"the last day comes after the first, at most {LONGEST_EXPORT_DAYS} days later")
    record = site.record.read()
    with tempfile.NamedTemporaryFile(prefix="pumasi-export-", delete=False) as made:
        path = FilePath(made.name)
    try:
        with record.snapshot():
            start, end = span(first, last, ZoneInfo(site.record.community().timezone))
            write_table(record, TABLES[what], start, end, path, form)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, TableFileError):
            raise Problem(503, "no-export", str(error)) from None
        raise
    site.accounts.log(visitor, "export", f"{what} {first} {last}")
    name = f"{what}-{first}-{last}.{form}"
    return FileResponse(path, media_type=MEDIA[form], filename=name, background=BackgroundTask(path.unlink))
