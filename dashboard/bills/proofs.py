"""Proof files for a household, and the verifier that its browser runs.

Nothing here checks a proof: the household does, with code that it can read and keep. The verifier is the one file
market/proof/verify.html; pages load its script alone, for their policy allows no script within a page.
"""

from __future__ import annotations

import re
import threading
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from dashboard import days
from dashboard.access import Problem
from dashboard.site import Site
from market.record.rows import INTERVAL, MONTH
from market.service.proofs import ProofError, proof_of
from market.tariffs.months import month_of

WHAT = f"^([0-9]{{1,11}}|{days.MONTH})$"
"""An interval by its start [epoch s], or a month such as 2026-07."""
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_one_at_a_time = threading.Lock()


def proof_text(site: Site, household: str, what: str) -> str:
    """The proof file of an interval or month. Raises Problem when there is nothing to be proven."""
    record, rules = site.record.read(), site.record.rules()
    if _MONTH.fullmatch(what):
        month, zone = month_of(what), ZoneInfo(rules.timezone)
        start, length, kind = month.start(zone), month.end(zone) - month.start(zone), MONTH
    else:
        start, length, kind = int(what), rules.interval_s, INTERVAL
    try:
        # A closure's whole tree is made for each: seconds of arithmetic in a community of ten thousand.
        with _one_at_a_time:
            return proof_of(record, site.store, household, start, length, kind)
    except ProofError as error:
        raise Problem(404, "no-proof", str(error)) from None


@cache
def verifier_page() -> str:
    """The verifier as one file that works in any browser without a network."""
    return files("market.proof").joinpath("verify.html").read_text(encoding="utf-8")


@cache
def verifier_script() -> str:
    """What checks proofs in it: everything between the script's beginning and the page's own fields."""
    script = verifier_page().split("<script>\n", 1)[1].split("\nconst field = ", 1)[0]
    return f"{script}\n"
