"""What a household's people change in the community's document: their own offer, and where their home is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dashboard.access import Problem, Visitor
from dashboard.site import Site
from market.record import ChangedMeanwhileError, Record
from market.record.inputs import offer_without
from market.settlement.rules import RulesError

TRIES = 5
"""How often a change is made anew when somebody else's came in between."""
Document = dict[str, Any]


def store_changed(site: Site, visitor: Visitor, change: Callable[[Record, Document], None]) -> bool:
    """Store the newest document as ``change`` makes it, for intervals that start from now on; whether anything differs.

    Raises Problem where the document is no community's any more, or others keep changing it; RecordError.
    """
    with site.writer() as record:
        for _ in range(TRIES):
            seen, document = record.inputs_version(), record.document()
            change(record, document)
            now, author = int(site.clock()), visitor.account or ""
            try:
                return bool(record.store_document(document, now, author, keep_meters=True, seen=seen))
            except ChangedMeanwhileError:
                continue
            except RulesError as error:
                # Others' changes, since the page was made: a named home has gone, the mechanism is another.
                raise Problem(409, "offer-changed", f"{error}; load the page again") from None
    raise Problem(409, "busy", "others are changing the community right now; try again")


def take_out(site: Site, visitor: Visitor, household: str) -> None:
    """Take a household that withdrew its name out of all other members' offers. Raises Problem; RecordError."""

    def without(_record: Record, document: Document) -> None:
        for member in document["members"]:
            if "offer" in member:
                member["offer"] = offer_without(member["offer"], {household})

    if store_changed(site, visitor, without):
        site.accounts.log(visitor, "name-withdrawn", household=household)
