"""The page of advice, and dismissing a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, Security
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from dashboard.access import HouseholdId, Visitor, of_household
from dashboard.advice import cards
from dashboard.advice.cards import Card, Kind, advice_cards
from dashboard.advice.chart import Bars, bars
from dashboard.advice.views import AdviceView, advice_view
from dashboard.site import Site

Reader = Annotated[Visitor, Security(of_household, scopes=["household:read"])]
Writer = Annotated[Visitor, Security(of_household, scopes=["household:write"])]
KEY = "^[0-9A-Za-z:.-]{1,40}$"


@dataclass(frozen=True, slots=True)
class AdvicePage:
    """The hours ahead, and the cards that this visitor has not dismissed."""

    advice: AdviceView
    cards: Sequence[Card]


class Dismissal(BaseModel):
    """Which card."""

    kind: Kind
    key: str = Field(pattern=KEY)


def router(site: Site) -> APIRouter:
    routes = APIRouter()
    cards.begin(site.accounts.db)

    def view(visitor: Visitor, household: str) -> AdvicePage:
        return AdvicePage(advice_view(site, household), advice_cards(site, visitor, household))

    def dismiss(visitor: Visitor, kind: str, key: str) -> None:
        assert visitor.account is not None
        cards.dismiss(site.accounts.db, visitor.account, kind, key, site.accounts.now())

    @routes.get("/household/{household}/advice", response_class=HTMLResponse)
    def advice_page(request: Request, visitor: Reader, household: HouseholdId) -> HTMLResponse:
        """Cheap and surplus hours ahead, with how wrong such forecasts were."""
        found = view(visitor, household)
        chart: Bars = bars(found.advice.hours, found.advice.length_s, site.record.community().timezone)
        return site.page(
            request,
            "advice/advice.html",
            visitor,
            view=found.advice,
            cards=found.cards,
            chart=chart,
            today=found.advice.today_to,
            home=household,
        )

    @routes.get("/api/1/household/{household}/advice")
    def advice_json(visitor: Reader, household: HouseholdId) -> AdvicePage:
        """Cheap and surplus hours ahead, with how wrong such forecasts were."""
        return view(visitor, household)

    @routes.post("/household/{household}/advice/dismiss", response_class=RedirectResponse, status_code=303)
    def card_dismiss(
        visitor: Writer,
        household: HouseholdId,
        kind: Annotated[Kind, Form()],
        key: Annotated[str, Form(pattern=KEY)],
        back: Annotated[str, Form(pattern="^(now|advice)$")] = "advice",
    ) -> RedirectResponse:
        """Do not show this card again until its matter is another."""
        dismiss(visitor, kind, key)
        return RedirectResponse(f"/household/{household}" + ("/advice" if back == "advice" else ""), 303)

    @routes.post("/household/{household}/advice/restore", response_class=RedirectResponse, status_code=303)
    def cards_restore(visitor: Writer, household: HouseholdId) -> RedirectResponse:
        """Show every card again."""
        assert visitor.account is not None
        cards.restore(site.accounts.db, visitor.account)
        return RedirectResponse(f"/household/{household}/advice", 303)

    @routes.post("/api/1/household/{household}/advice/dismiss", status_code=204, response_class=Response)
    def card_dismiss_json(visitor: Writer, household: HouseholdId, card: Dismissal) -> Response:
        """Do not show this card again until its matter is another."""
        dismiss(visitor, card.kind, card.key)
        return Response(status_code=204)

    return routes
