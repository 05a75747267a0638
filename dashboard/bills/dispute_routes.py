"""Questions about an interval or a bill: asked, read, closed and withdrawn by the household."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Path, Query, Request, Security
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field

from dashboard.access import HouseholdId, Problem, Visitor, of_household
from dashboard.bills import disputes
from dashboard.bills.disputes import LONGEST_TEXT, Dispute, DisputeError
from dashboard.bills.months import months_with_data
from dashboard.days import MONTH
from dashboard.site import Site
from market.tariffs.months import epoch_s

Reader = Annotated[Visitor, Security(of_household, scopes=["household:read"])]
Writer = Annotated[Visitor, Security(of_household, scopes=["household:write"])]
Number = Annotated[int, Path(ge=1, le=2**53)]
Start = Annotated[int | None, Query(ge=0, le=10**11, description="about the interval that begins then [epoch s]")]
FAILED = {"no-dispute": 404, "dispute-ended": 409, "too-many-disputes": 409}
MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class DisputesView:
    """A household's questions, the newest first; ``months`` are those that can be asked about."""

    household: str
    disputes: Sequence[Dispute]
    months: Sequence[str]
    longest_text: int


class Question(BaseModel):
    """About the interval that begins at ``start`` [epoch s], or the bill of ``month``: one of them."""

    start: int | None = Field(default=None, ge=0, le=10**11)
    month: str | None = Field(default=None, pattern=f"^{MONTH}$")
    text: str = Field(min_length=1, max_length=LONGEST_TEXT)


def router(site: Site) -> APIRouter:
    routes = APIRouter()
    db = site.accounts.db
    disputes.begin(db)

    def view(household: str) -> DisputesView:
        months = [str(month) for month in months_with_data(site.record.read())]
        return DisputesView(household, disputes.of_household(db, household, MOST_SHOWN), months, LONGEST_TEXT)

    def find(household: str, number: int) -> Dispute:
        found = disputes.find(db, number)
        if found is None or found.household != household:
            raise Problem(404, "no-dispute", f"there is no question {number} of {household}")
        return found

    def ask(visitor: Visitor, household: str, start: int | None, month: str | None, text: str) -> Dispute:
        if (start is None) == (month is None):
            raise Problem(422, "no-subject", "say one interval or one month that the question is about")
        if start is not None:
            start -= start % site.record.rules().interval_s
            _check_settled(site, start)
        elif month not in [str(known) for known in months_with_data(site.record.read())]:
            raise Problem(404, "no-bill", f"nothing is settled of {month}")
        try:
            made = disputes.open_dispute(
                db, household, visitor.name, text, site.accounts.now(), start=start, month=month
            )
        except DisputeError as error:
            raise _problem(error) from None
        site.accounts.log(visitor, "dispute-open", f"{made.number}", household)
        return made

    def end(visitor: Visitor, household: str, number: int, how: Callable[..., Dispute], action: str) -> Dispute:
        find(household, number)
        try:
            ended = how(db, number, site.accounts.now())
        except DisputeError as error:
            raise _problem(error) from None
        site.accounts.log(visitor, action, f"{number}", household)
        return ended

    def close(visitor: Visitor, household: str, number: int) -> Dispute:
        return end(visitor, household, number, disputes.close, "dispute-close")

    def withdraw(visitor: Visitor, household: str, number: int) -> Dispute:
        return end(visitor, household, number, disputes.withdraw, "dispute-withdraw")

    @routes.get("/household/{household}/disputes", response_class=HTMLResponse)
    def disputes_page(request: Request, visitor: Reader, household: HouseholdId) -> HTMLResponse:
        """A household's questions."""
        return site.page(request, "bills/disputes.html", visitor, view=view(household), home=household)

    @routes.get("/household/{household}/disputes/new", response_class=HTMLResponse)
    def dispute_form(
        request: Request,
        visitor: Reader,
        household: HouseholdId,
        start: Start = None,
        month: Annotated[str | None, Query(pattern=f"^{MONTH}$")] = None,
    ) -> HTMLResponse:
        """The form for a question about one interval or bill."""
        return site.page(
            request, "bills/dispute_new.html", visitor, start=start, month=month, view=view(household), home=household
        )

    @routes.post("/household/{household}/disputes", response_class=RedirectResponse, status_code=303)
    def dispute_open(
        visitor: Writer,
        household: HouseholdId,
        text: Annotated[str, Form(max_length=2 * LONGEST_TEXT)],
        start: Annotated[str, Form(pattern="^[0-9]{0,11}$")] = "",
        local: Annotated[str, Form(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$")] = "",
        month: Annotated[str, Form(pattern=f"^({MONTH})?$")] = "",
        about: Annotated[str, Form(pattern="^(interval|month)$")] = "interval",
    ) -> RedirectResponse:
        """Ask. ``start`` in epoch seconds or ``local`` in the community's time names an interval, ``month`` a bill."""
        at = int(start) if start else _moment(site, local) if local else None
        by_month = about == "month"
        made = ask(visitor, household, None if by_month else at, (month or None) if by_month else None, text)
        return RedirectResponse(f"/household/{household}/disputes/{made.number}", 303)

    @routes.get("/household/{household}/disputes/{number}", response_class=HTMLResponse)
    def dispute_page(request: Request, visitor: Reader, household: HouseholdId, number: Number) -> HTMLResponse:
        """One question, its state and its answer."""
        found = find(household, number)
        return site.page(request, "bills/dispute.html", visitor, dispute=found, home=household)

    @routes.post("/household/{household}/disputes/{number}/close", response_class=RedirectResponse, status_code=303)
    def dispute_close(visitor: Writer, household: HouseholdId, number: Number) -> RedirectResponse:
        """The answer will do."""
        close(visitor, household, number)
        return RedirectResponse(f"/household/{household}/disputes/{number}", 303)

    @routes.post("/household/{household}/disputes/{number}/withdraw", response_class=RedirectResponse, status_code=303)
    def dispute_withdraw(visitor: Writer, household: HouseholdId, number: Number) -> RedirectResponse:
        """The question is not asked any more."""
        withdraw(visitor, household, number)
        return RedirectResponse(f"/household/{household}/disputes/{number}", 303)

    @routes.get("/api/1/household/{household}/disputes")
    def disputes_json(visitor: Reader, household: HouseholdId) -> DisputesView:
        """A household's questions."""
        return view(household)

    @routes.post("/api/1/household/{household}/disputes", status_code=201)
    def dispute_open_json(visitor: Writer, household: HouseholdId, question: Question) -> Dispute:
        """Ask about one interval or bill."""
        return ask(visitor, household, question.start, question.month, question.text)

    @routes.get("/api/1/household/{household}/disputes/{number}")
    def dispute_json(visitor: Reader, household: HouseholdId, number: Number) -> Dispute:
        """One question, its state and its answer."""
        return find(household, number)

    @routes.post("/api/1/household/{household}/disputes/{number}/close")
    def dispute_close_json(visitor: Writer, household: HouseholdId, number: Number) -> Dispute:
        """The answer will do."""
        return close(visitor, household, number)

    @routes.post("/api/1/household/{household}/disputes/{number}/withdraw")
    def dispute_withdraw_json(visitor: Writer, household: HouseholdId, number: Number) -> Dispute:
        """The question is not asked any more."""
        return withdraw(visitor, household, number)

    return routes


def _problem(error: DisputeError) -> Problem:
    return Problem(FAILED.get(error.problem, 422), error.problem, str(error))


def _check_settled(site: Site, start: int) -> None:
    record, length = site.record.read(), site.record.rules().interval_s
    if record.newest_gate(start, length) is None:
        raise Problem(404, "not-settled", f"no interval that starts at {start} is settled")


def _moment(site: Site, text: str) -> int:
    """A local time as a form sends it; the first of an hour that comes twice."""
    try:
        return epoch_s(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(site.record.community().timezone)))
    except (ValueError, OverflowError):
        raise Problem(422, "bad-value", f"{text}: no such time") from None
