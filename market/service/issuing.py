"""Who is let in and thrown out: the members' document, meters' keys and their identities, changed together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker import certificates, enrolment, identities, site
from broker.contract import is_identifier, user
from broker.identities import Identity
from broker.keys import master_key, meter_key
from broker.live import Live
from market.record import Record
from market.service import members
from market.service.keys import Keys, Known
from market.service.market import MASTER_KEY_FILE
from market.service.members import MembersError
from market.settlement.rules import Registers, RulesError

NOTHING = Registers(0, 0, 0, 0)


@dataclass(frozen=True)
class NewHousehold:
    """Where a new member stands in the network, and by which of the community's tariffs it pays."""

    node: str
    tariff: str
    name: str | None = None
    generates: bool = False


@contextmanager
def writing(store: Path) -> Iterator[Record]:
    """The record of a store that has a broker, to change its members. Raises SiteError when it has none."""
    site.load(store)
    site.authority(store)  # whoever changes members here signs for them next: better not to begin without
    record = Record(store)
    try:
        yield record
    finally:
        record.close()


def store_document(record: Record, document: Any, now: int, author: str, *, seen: int | None = None) -> None:
    """Store the document, to apply to intervals that start from ``now`` [epoch s] on. Raises MembersError."""
    try:
        record.store_document(document, now, author, seen=seen)
    except RulesError as error:
        raise MembersError(str(error)) from None


def join(
    store: Path, meter: str, household: str, new: NewHousehold | None, *, now: int, author: str
) -> tuple[Identity, int]:
    """Give a household, a new one or one that is there, a new meter with its identity.

    It counts from an interval that starts after ``now`` [epoch s]; returned with the identity. Raises MembersError,
    SiteError, RecordError; then nothing has changed.
    """
    with writing(store) as record, identities.changing(store):
        seen, document = record.inputs_version(), record.document()
        check_name(meter, document)
        if identities.exists(store, meter) or meter in members.meters(document):
            raise MembersError(f"{meter}: is a meter already; give the new one a name of its own")
        if new is not None:
            if not is_identifier(household):
                raise MembersError(f"{household}: not a household's id: 1 to 32 of a-z, 0-9 and the hyphen")
            members.add_household(document, household, new.node, new.tariff, new.name, generates=new.generates)
        since = _next_start(record, document, now)
        members.add_meter(document, meter, household, unused_key(record, meter), since, NOTHING)
        store_document(record, document, now, author, seen=seen)
        issued = issue(store, document, meter, {})
    Live(store).let_in([issued])
    return issued, since


def _next_start(record: Record, document: Any, now: int) -> int:
    """The second interval from now, or from what is settled: by then the change applies, also where clocks run fast."""
    length_s, last = int(document["interval_s"]), record.last_gate()
    settled = 0 if last is None else last.start + last.length
    return (max(now, settled) // length_s + 2) * length_s


def revoke(store: Path, meters: Sequence[str]) -> list[Identity]:
    """Throw meters out, at once and for good. Raises SiteError."""
    with identities.changing(store):
        found = [identities.load(store, name) for name in dict.fromkeys(meters)]
        revoked = [identities.revoke(store, one) if one.revoked_at is None else one for one in found]
        enrolment.forget(store, [one.meter for one in revoked])
    Live(store).throw_off(revoked)
    return revoked


def check_name(name: str, document: Any) -> None:
    """Raises MembersError for a name that no meter can have."""
    if not is_identifier(name):
        raise MembersError(f"{name}: not a meter's name: 1 to 32 of a-z, 0-9 and the hyphen")
    if len(user(document["community"], name)) > certificates.MAX_NAME:
        most = certificates.MAX_NAME - len(document["community"]) - 1
        raise MembersError(f"{name}: too long for a certificate beside the community's name: at most {most}")


def unused_key(record: Record, name: str) -> Known:
    """A key that no meter of this name ever had."""
    newest = Keys(record, b"").known(name)
    return Known(1, {}) if newest is None else Known(newest.kid + 1, newest.nonces)


def issue(store: Path, document: Any, name: str, said: dict[str, Any]) -> Identity:
    """The identity of a meter that the document has. Raises MembersError, SiteError."""
    entry = members.meter(document, name)
    kid = int(entry["kid"])
    return identities.issue(store, name, members.meters(document)[name], kid, key_of(store, document, entry, kid), said)


def key_of(store: Path, document: Any, entry: Any, kid: int) -> bytes:
    """The meter's key of generation ``kid``."""
    nonces = {int(number): nonce for number, nonce in entry.get("nonces", {}).items()}
    return meter_key(master_key(store / MASTER_KEY_FILE), document["community"], entry["meter"], kid, nonces)
