"""The community's inputs: every version that was ever stored, and from when it applies."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any

import msgspec

from market.record import schema
from market.record.meter_keys import check_kept, check_keys
from market.record.part import Part
from market.record.rows import INTERVAL, ChangedMeanwhileError, InputVersion, RecordError
from market.settlement.rules import KINDS, Rules, RulesError, parse, split

CLOCK_BOUND_S = 400 * 86_400
"""A change that would apply later than this after the last settled interval comes from a clock that is wrong."""
LAST_DATE = 253_402_300_799
RULES_KEPT = 8
UNCHANGEABLE = ("community", "currency", "timezone", "interval_s")
"""What is settled is by these; under another time zone months that are closed would be others, and be billed again."""


class Inputs(Part):
    """The part of a Record that holds inputs."""

    _rules: dict[tuple[tuple[str, int], ...], Rules]

    def _begin_inputs(self) -> None:
        """What is remembered within one transaction only: other processes store inputs too."""
        self._applying: dict[int, dict[str, int]] = {}

    def store_inputs(
        self,
        bodies: Mapping[str, Any],
        now: int,
        author: str = "",
        *,
        keep_meters: bool = False,
        seen: int | None = None,
    ) -> list[str]:
        """Store what differs from the newest version of each kind; returns the kinds that did.

        The first version of a kind applies from the beginning; a later one to intervals that start
        at or after ``now`` [epoch s], and never to one that was settled already, whatever the clock
        says. A short transaction of its own: any process may call it while the market runs. Raises
        RecordError for another community, currency, time zone or interval length, which need a store of their
        own, for a clock far ahead: nothing could be changed until then, for a new meter that counts earlier than
        the change applies, and for a meter's key that is older than the stored one; with ``keep_meters`` also
        when a meter goes, or one comes back. Raises ChangedMeanwhileError when anything was stored after the input
        numbered ``seen``, the ``inputs_version`` that the bodies were made from.
        """
        changed = []
        with self.transaction():
            if seen is not None and self.inputs_version() != seen:
                raise ChangedMeanwhileError(
                    f"{self.name}: somebody changed the community meanwhile; nothing was stored"
                )
            settled = self._db.one("SELECT max(start + length) FROM gate WHERE kind = ?", INTERVAL)[0]
            newest_stored = self._db.one("SELECT coalesce(max(stored_at), 0) FROM input")[0]
            if settled is not None and now > max(settled, newest_stored) + CLOCK_BOUND_S:
                raise RecordError(
                    f"{self.name}: the clock stands at {_utc(now)}, the last settled interval ended {_utc(settled)}:"
                    f" more than {CLOCK_BOUND_S // 86_400} days;"
                    " set the clock right (in a demo's store: pumasi community apply --simulated)"
                )
            now = max(now, newest_stored, settled or 0)
            number = self.inputs_version()
            for kind in KINDS:
                newest = self._db.execute(
                    "SELECT version, body FROM input WHERE kind = ? ORDER BY version DESC LIMIT 1", (kind,)
                ).fetchone()
                body = _text(kind, bodies[kind])
                if newest is not None and _same(newest[1], body):
                    continue
                if newest is not None and kind == "community":
                    self._check_unchanged(msgspec.json.decode(newest[1]), bodies[kind])
                if newest is not None and kind == "members":
                    before = msgspec.json.decode(newest[1])
                    if keep_meters:
                        check_kept(before, bodies[kind], self.members_history)
                    check_keys(before, bodies[kind], self.members_history)
                if settled is not None and newest is not None and kind == "members":
                    _check_new_meters(msgspec.json.decode(newest[1]), bodies[kind], now)
                version, applies = (1, 0) if newest is None else (newest[0] + 1, now)
                changed.append(kind)
                self._db.insert(schema.input, [(kind, version, applies, body, author, number + len(changed))])
            self._begin_inputs()
        return changed

    def store_document(
        self, document: Any, now: int, author: str = "", *, keep_meters: bool = False, seen: int | None = None
    ) -> list[str]:
        """``store_inputs`` of a whole community document, as community.json holds one, checked first.

        Offers no longer name members who have gone with this document: nobody's wish holds up their leaving. Raises
        RulesError naming the place and the reason, and then stores nothing.
        """
        bodies = split(document)
        if self.inputs_version():
            left = self.document()["members"]
            gone = {member["household"] for member in left} - {member["household"] for member in bodies["members"]}
            bodies = {
                **bodies,
                "offers": {home: offer_without(offer, gone) for home, offer in bodies["offers"].items()},
            }
        parse(bodies)
        return self.store_inputs(bodies, now, author, keep_meters=keep_meters, seen=seen)

    def document(self, at: int | None = None) -> dict[str, Any]:
        """The community as community.json would hold it: newest, or as it applies to the interval starting ``at``."""
        return document_of(self._bodies(self.input_versions(2**62 if at is None else at)))

    def inputs_version(self) -> int:
        """The number of the newest input that was stored, by whomever."""
        return int(self._db.one("SELECT coalesce(max(number), 0) FROM input")[0])

    def input_history(self) -> list[InputVersion]:
        """Every stored version of every kind, the oldest first."""
        rows = self._db.execute("SELECT number, kind, version, stored_at, author FROM input ORDER BY number")
        return [InputVersion(*row) for row in rows]

    def input_versions(self, start: int) -> dict[str, int]:
        """The version of each kind of input that applies to the interval that starts at ``start``."""
        known = self._applying.get(start) if self._db.in_transaction else None
        if known is None:
            rows = self._db.execute("SELECT kind, max(version) FROM input WHERE stored_at <= ? GROUP BY kind", (start,))
            known = {str(kind): int(version) for kind, version in sorted(rows)}
            if set(known) != set(KINDS):
                raise RecordError(f"{self.name}: no community has been stored here")
            if self._db.in_transaction:
                self._applying[start] = known
        return dict(known)

    def member_versions(self) -> list[dict[str, int]]:
        """For each version of the members, the inputs that applied when it was stored; the oldest first."""
        rows = self._db.execute("SELECT stored_at FROM input WHERE kind = 'members' ORDER BY version").fetchall()
        return [self.input_versions(stored_at) for (stored_at,) in rows]

    def offers(self, version: int) -> dict[str, dict[str, Any]]:
        """Household -> offer, as that version of the offers has them. Raises RecordError where there is none."""
        found: dict[str, dict[str, Any]] = self._bodies({"offers": version})["offers"]
        return found

    def members_history(self, after: int = 0) -> list[list[dict[str, Any]]]:
        """The members as every version above ``after`` has them, the oldest first; also those that never applied."""
        rows = self._db.execute(
            "SELECT body FROM input WHERE kind = 'members' AND version > ? ORDER BY version", (after,)
        )
        return [msgspec.json.decode(body) for (body,) in rows.fetchall()]

    def rules(self, versions: Mapping[str, int]) -> Rules:
        """The rules that these versions of the inputs make."""
        key = tuple(sorted(versions.items()))
        known = self._rules.pop(key, None) or parse(self._bodies(versions))
        # Stored inputs never change: what was parsed once is kept, the least lately used goes first.
        self._rules[key] = known
        while len(self._rules) > RULES_KEPT:
            del self._rules[next(iter(self._rules))]
        return known

    def _bodies(self, versions: Mapping[str, int]) -> dict[str, Any]:
        bodies = {}
        for kind, version in versions.items():
            row = self._db.execute("SELECT body FROM input WHERE kind = ? AND version = ?", (kind, version)).fetchone()
            if row is None:
                raise RecordError(f"{self.name}: input {kind} version {version} is missing")
            bodies[kind] = msgspec.json.decode(row[0])
        return bodies

    def _check_unchanged(self, stored: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        for name in UNCHANGEABLE:
            if stored[name] != body[name]:
                raise RecordError(
                    f"{self.name}: {name} {body[name]}: this store is for {stored[name]}; begin a new one"
                )


def document_of(bodies: Mapping[str, Any]) -> dict[str, Any]:
    """Input bodies as one community document: what ``split`` takes apart."""
    offers = bodies["offers"]
    members = [
        {**member, "offer": offers[member["household"]]} if member["household"] in offers else dict(member)
        for member in bodies["members"]
    ]
    others = {kind: body for kind, body in bodies.items() if kind not in ("community", "members", "offers")}
    return {**bodies["community"], **others, "members": members}


def _utc(epoch_s: int) -> str:
    return f"{datetime.fromtimestamp(min(epoch_s, LAST_DATE), UTC):%Y-%m-%d %H:%M} UTC"


def _check_new_meters(before: list[dict[str, Any]], after: list[dict[str, Any]], now: int) -> None:
    """A meter that is new in a community at work counts from an interval that it is a member in: no energy is lost."""
    known = {meter["meter"] for member in before for meter in member["meters"]}
    for meter in (meter for member in after for meter in member["meters"]):
        if meter["meter"] not in known and meter["since"] < now:
            raise RecordError(
                f"meter {meter['meter']} counts since {_utc(meter['since'])}, and this change applies to intervals from"
                f" {_utc(now)} on: give it a later since, and the registers it has then"
            )


def _text(kind: str, body: Any) -> str:
    """The body as it is stored. Raises RulesError."""
    try:
        return msgspec.json.encode(body).decode()
    except UnicodeEncodeError as error:
        raise RulesError(f"{kind}: half a character, {error.object[error.start]!r}, is no text") from None


def _same(stored: str, body: str) -> bool:
    return stored == body or bool(msgspec.json.decode(stored) == msgspec.json.decode(body))


def offer_without(offer: Mapping[str, Any], gone: Set[str]) -> dict[str, Any]:
    """The offer without the homes that have gone, or are no longer to be named."""
    found = dict(offer)
    for wish in {"prefer", "give"} & offer.keys():
        found[wish] = [home for home in offer[wish] if home not in gone]
        if not found[wish]:
            del found[wish]
    return found
