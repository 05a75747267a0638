"""One household as every page of it begins: its member, its community's rules, and the last settled interval."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from dashboard.access import Problem
from dashboard.record import LastInterval
from dashboard.site import Site
from market.settlement.rules import Member, Rules

NEWEST = 2**62
"""Later than any input was stored."""


@dataclass(frozen=True)
class Home:
    """``counter`` was read before anything else: what changes in between is announced once more, not missed."""

    site: Site
    counter: int
    inputs: dict[str, int]
    rules: Rules
    member: Member
    zone: ZoneInfo
    last: LastInterval | None

    @property
    def household(self) -> str:
        return self.member.household

    @property
    def settled_to(self) -> int:
        """Where the last settled interval ends [epoch s]; now, before there is one."""
        return int(self.site.clock()) if self.last is None else self.last.start + self.rules.interval_s


def home_of(site: Site, household: str) -> Home:
    """Raises Problem for a household that is no member."""
    counter = site.record.change_counter()
    inputs, rules = site.record.read().input_versions(NEWEST), site.record.rules()
    member = next((member for member in rules.members if member.household == household), None)
    if member is None:
        raise Problem(404, "no-household", "there is no such household")
    return Home(site, counter, inputs, rules, member, ZoneInfo(rules.timezone), site.record.last_interval())
