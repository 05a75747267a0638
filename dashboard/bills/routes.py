"""Bills as pages, PDF and CSV; proofs and their verification in the browser."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Security
from fastapi.responses import HTMLResponse, Response

from broker.keys import KeyFileError
from dashboard.access import HouseholdId, Problem, Visitor, of_household
from dashboard.bills import dispute_routes
from dashboard.bills.months import Bills
from dashboard.bills.names import names_for
from dashboard.bills.proofs import WHAT, proof_text, verifier_page, verifier_script
from dashboard.bills.views import BillsView, BillView, Found, bill_view, bills_view, find_bill, paper, told
from dashboard.days import MONTH
from dashboard.public.chain import newest_head
from dashboard.site import Site
from dashboard.words import LANGUAGES
from market.billing import BillingError
from market.statements.pdf import pdf
from market.statements.table import csv_text
from market.tariffs.months import Month, month_of

Reader = Annotated[Visitor, Security(of_household, scopes=["household:read"])]
MonthPath = Annotated[str, Path(pattern=f"^{MONTH}$", description="such as 2026-07")]
Revision = Annotated[int | None, Query(ge=0, le=10_000, description="a correction's number; without it the newest")]
Language = Annotated[str | None, Query(pattern=f"^({'|'.join(LANGUAGES)})$", description="of the document")]
What = Annotated[str, Path(pattern=WHAT, description="an interval by its start in epoch seconds, or a month: 2026-07")]

log = logging.getLogger(__name__)


class Pdf(Response):
    media_type = "application/pdf"


class Csv(Response):
    media_type = "text/csv"


class Json(Response):
    """Text that is JSON already."""

    media_type = "application/json"


class Script(Response):
    media_type = "text/javascript"


def router(site: Site) -> APIRouter:
    routes = APIRouter()
    bills = Bills()

    def find(household: str, month: str, revision: int | None) -> Found:
        wanted: Month = month_of(month)
        try:
            found = find_bill(site.record.read(), bills, household, wanted, revision)
        except BillingError as error:
            raise Problem(404, "no-bill", str(error)) from None
        if found is None:
            raise Problem(404, "no-bill", f"there is no such bill of {household} for {month}")
        return found

    def view(household: str, month: str, revision: int | None, language: str) -> BillView:
        found = find(household, month, revision)
        return bill_view(site.record.read(), bills, found, language, names_for(site, household, language))

    def document(name: str, content: bytes, kind: type[Response]) -> Response:
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-cache"}
        return kind(content, headers=headers)

    # -- bills -------------------------------------------------------------------------------

    @routes.get("/household/{household}/bills", response_class=HTMLResponse)
    def bills_page(request: Request, visitor: Reader, household: HouseholdId) -> HTMLResponse:
        """Every month's bill."""
        found = bills_view(site.record.read(), bills, household)
        return site.page(request, "bills/bills.html", visitor, view=found, home=household)

    @routes.get("/api/1/household/{household}/bills")
    def bills_json(visitor: Reader, household: HouseholdId) -> BillsView:
        """Every month's bill."""
        return bills_view(site.record.read(), bills, household)

    @routes.get("/household/{household}/bills/{month}.pdf", response_class=Pdf)
    def bill_pdf(
        visitor: Reader, household: HouseholdId, month: MonthPath, revision: Revision = None, lang: Language = None
    ) -> Response:
        """A month's bill on paper; of a month that is not closed, the month so far."""
        language, found = lang or visitor.language, find(household, month, revision)
        made = paper(found.bill, language, names_for(site, household, language))
        return document(f"{_file_name(found, household, month)}.pdf", pdf(made), Pdf)

    @routes.get("/household/{household}/bills/{month}.csv", response_class=Csv)
    def bill_csv(
        visitor: Reader, household: HouseholdId, month: MonthPath, revision: Revision = None, lang: Language = None
    ) -> Response:
        """The same as a table, with every figure's parts in columns of their own."""
        language, found = lang or visitor.language, find(household, month, revision)
        names = names_for(site, household, language)
        text = csv_text(paper(found.bill, language, names), told(found.bill, names))
        # A byte order mark: spreadsheets take the file for UTF-8 by it.
        return document(f"{_file_name(found, household, month)}.csv", text.encode("utf-8-sig"), Csv)

    @routes.get("/household/{household}/bills/{month}", response_class=HTMLResponse)
    def bill_page(
        request: Request, visitor: Reader, household: HouseholdId, month: MonthPath, revision: Revision = None
    ) -> HTMLResponse:
        """A month's bill with how each line is computed; of a month that is not closed, the month so far."""
        found = view(household, month, revision, visitor.language)
        return site.page(request, "bills/bill.html", visitor, view=found, home=household)

    @routes.get("/api/1/household/{household}/bills/{month}")
    def bill_json(
        visitor: Reader, household: HouseholdId, month: MonthPath, revision: Revision = None, lang: Language = None
    ) -> BillView:
        """A month's bill with how each line is computed; of a month that is not closed, the month so far."""
        return view(household, month, revision, lang or visitor.language)

    # -- proofs ------------------------------------------------------------------------------

    @routes.get("/household/{household}/proof/{what}", response_class=Json)
    def proof(visitor: Reader, household: HouseholdId, what: What) -> Response:
        """The proof file of an interval or a closed month, for verify-proof or the verifier's page."""
        return document(f"proof-{household}-{what}.json", _proof(site, household, what).encode(), Json)

    @routes.get("/api/1/household/{household}/proof/{what}", response_class=Json)
    def proof_json(visitor: Reader, household: HouseholdId, what: What) -> Response:
        """The proof file of an interval or a closed month (docs/proofs.md)."""
        return Json(_proof(site, household, what))

    @routes.get("/household/{household}/verify/{what}", response_class=HTMLResponse)
    def verify(request: Request, visitor: Reader, household: HouseholdId, what: What) -> HTMLResponse:
        """A page whose script checks the proof in the household's own browser."""
        head = newest_head(site.record.read(), site.store)
        start, month = (int(what), None) if what.isdecimal() else (None, what)
        return site.page(
            request, "bills/verify.html", visitor, what=what, start=start, month=month, head=head, home=household
        )

    @routes.get("/verifier.js", response_class=Script)
    def verifier_js() -> Response:
        """What checks proofs: the script of the verifier's page."""
        return Script(verifier_script())

    @routes.get("/verifier.html", response_class=HTMLResponse)
    def verifier_html() -> Response:
        """The verifier as a file to keep: it works in any browser without a network."""
        headers = {"Content-Disposition": 'attachment; filename="pumasi-verifier.html"'}
        return Response(verifier_page(), media_type="text/html", headers=headers)

    routes.include_router(dispute_routes.router(site))
    return routes


def _proof(site: Site, household: str, what: str) -> str:
    try:
        return proof_text(site, household, what)
    except KeyFileError as error:
        log.warning("no proof can be made: %s", error)
        raise Problem(503, "no-secret", "the community's secret cannot be read here; the log says why") from None


def _file_name(found: Found, household: str, month: str) -> str:
    revision = found.bill.revision
    if revision is None:
        return f"so-far-{household}-{month}"
    return f"bill-{household}-{month}" + (f"-{revision}" if revision else "")
