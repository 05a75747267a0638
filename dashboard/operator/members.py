"""Who is a member, by which meters, and who may sign in for it; letting people and meters in, and throwing them out."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import segno

from broker import identities, labels
from broker.certificates import CertificateError
from broker.site import SiteError, directory
from dashboard.access import Problem, Visitor
from dashboard.operator.table import ROWS, place
from dashboard.site import Site
from market.record import RecordError
from market.record.rows import ChangedMeanwhileError
from market.service import issuing
from market.service.issuing import NewHousehold
from market.service.members import MembersError

TRIES = 3


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can sign in."""

    account: str
    name: str
    role: str
    household: str | None
    made_at: int


@dataclass(frozen=True, slots=True)
class Open:
    """An invitation that nobody has used yet."""

    invitation: str
    role: str
    household: str | None
    made_by: str
    ends_at: int


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A household with its meters and the people who can sign in for it."""

    household: str
    name: str
    node: str
    tariff: str
    generates: bool
    meters: tuple[str, ...]
    people: tuple[Person, ...]
    invited: bool


@dataclass(frozen=True, slots=True)
class MembersView:
    """The households of ``page``; who else can sign in; and what a new member chooses from.

    ``broker`` says whether meters can be let in here: the store has a broker.
    """

    query: str
    members: tuple[MemberRow, ...]
    page: int
    pages: int
    total: int
    staff: tuple[Person, ...]
    invitations: tuple[Open, ...]
    nodes: tuple[str, ...]
    tariffs: tuple[str, ...]
    next_household: str
    next_meter: str
    broker: bool


@dataclass(frozen=True, slots=True)
class Invited:
    """A new invitation: its link, shown once, and the link as a QR code (SVG)."""

    link: str
    qr_svg: str
    role: str
    household: str | None


@dataclass(frozen=True, slots=True)
class Labelled:
    """A meter's new label, shown once: the code, the code as SVG, and the password of its own access point.

    ``since`` [epoch s] is from when a new meter counts.
    """

    meter: str
    household: str
    code: str
    label_svg: str
    label_password: str
    since: int | None


def members_view(site: Site, query: str, page: int) -> MembersView:
    rules = site.record.rules()
    people: dict[str | None, list[Person]] = defaultdict(list)
    for one in site.accounts.people():
        people[one.household].append(Person(one.account, one.name, one.role, one.household, one.made_at))
    waiting = [Open(i.invitation, i.role, i.household, i.made_by, i.ends_at) for i in site.accounts.invitations()]
    invited = {one.household for one in waiting}
    asked = query.strip().casefold()
    rows = [
        MemberRow(
            member.household,
            member.name,
            rules.nodes[member.node],
            member.tariff_name,
            member.generates,
            tuple(meter.meter for meter in member.meters),
            tuple(people[member.household]),
            member.household in invited,
        )
        for member in rules.members
    ]
    rows = [row for row in rows if asked in f"{row.household} {row.name} {row.node} {' '.join(row.meters)}".casefold()]
    page, pages = place(len(rows), page)
    return MembersView(
        query=query.strip(),
        members=tuple(rows[(page - 1) * ROWS : page * ROWS]),
        page=page,
        pages=pages,
        total=len(rows),
        staff=tuple(one for several in people.values() for one in several if one.role != "household"),
        invitations=tuple(waiting),
        nodes=rules.nodes,
        tariffs=tuple(rules.tariffs),
        next_household=_following([member.household for member in rules.members], "h001"),
        next_meter=_following([meter.meter for member in rules.members for meter in member.meters], "m001"),
        broker=directory(site.store).joinpath("broker.json").exists(),
    )


def invite(site: Site, visitor: Visitor, role: str, household: str | None, base: str) -> Invited:
    """``base`` is the address under which people reach these pages. Raises Problem."""
    if (role == "household") != (household is not None):
        raise Problem(422, "household-needed", "a household's account needs a household, others have none")
    if household is not None and all(member.household != household for member in site.record.rules().members):
        raise Problem(404, "no-household", "there is no such household")
    token = site.accounts.invite(role, household, visitor)  # type: ignore[arg-type]  # the route takes roles only
    link = f"{base.rstrip('/')}/invitation/{token}"
    return Invited(link, qr_svg(link), role, household)


def join(site: Site, visitor: Visitor, meter: str, household: str, new: NewHousehold | None) -> Labelled:
    """Give a household its meter, with label and identity. Raises Problem; then nothing has changed."""
    with _named():
        for left in reversed(range(TRIES)):
            try:
                identity, since = issuing.join(
                    site.store, meter, household, new, now=int(site.clock()), author=visitor.name
                )
                break
            except ChangedMeanwhileError:
                if not left:
                    raise
        site.accounts.log(visitor, "meter-add", meter, household)
        return _labelled(site, identity, since)


def label(site: Site, visitor: Visitor, meter: str) -> Labelled:
    """A new enrolment code; the older one ends. Raises Problem."""
    with _named():
        identity = identities.load(site.store, meter)
        if identity.revoked_at is not None:
            raise Problem(409, "revoked", f"{meter} is revoked")
        site.accounts.log(visitor, "meter-label", meter, identity.household)
        return _labelled(site, identity, None)


def revoke(site: Site, visitor: Visitor, meter: str) -> None:
    """Throw a meter out, at once and for good. Raises Problem."""
    with _named():
        (revoked,) = issuing.revoke(site.store, [meter])
        site.accounts.log(visitor, "meter-revoke", meter, revoked.household)


def withdraw(site: Site, visitor: Visitor, invitation: str) -> None:
    """End an invitation. Raises Problem."""
    if not site.accounts.withdraw(invitation):
        raise Problem(404, "no-invitation", "there is no such invitation, or it has been used")
    site.accounts.log(visitor, "withdraw", invitation)


def remove(site: Site, visitor: Visitor, account: str) -> None:
    """End an account with its sessions, passkeys and tokens. Raises Problem."""
    found = site.accounts.account(account)
    if found is None:
        raise Problem(404, "no-account", "there is no such account")
    if account == visitor.account:
        raise Problem(409, "own-account", "nobody throws themselves out here")
    site.accounts.remove(account)
    site.accounts.log(visitor, "account-remove", found.role, found.household)


def qr_svg(text: str) -> str:
    """A QR code to stand in a page."""
    code = segno.make(text, error="m")
    drawn: str = code.svg_inline(scale=4, border=4, dark="#000", light="#fff")
    return drawn


def _labelled(site: Site, identity: identities.Identity, since: int | None) -> Labelled:
    code = labels.new_codes(site.store, [identity.meter], int(time.time()))[identity.meter]
    return Labelled(
        identity.meter, identity.household, code, labels.label_svg(identity, code), identity.label_password, since
    )


@contextmanager
def _named() -> Iterator[None]:
    """What can go wrong, as named problems."""
    try:
        yield
    except MembersError as error:
        raise Problem(422, "members", str(error)) from None
    except ChangedMeanwhileError as error:
        raise Problem(409, "changed-meanwhile", str(error)) from None
    except RecordError as error:
        raise Problem(409, "members", str(error)) from None
    except (SiteError, CertificateError, OSError) as error:
        raise Problem(409, "no-broker", str(error)) from None


def _following(names: list[str], first: str) -> str:
    """A name that nobody has yet, made like the last one: h013 after h012."""
    numbered = [found for name in names if (found := re.fullmatch(r"(.*?)([0-9]+)", name))]
    if not numbered:
        return first
    head, digits = max((found[1], found[2]) for found in numbered)
    following = f"{head}{int(digits) + 1:0{len(digits)}d}"
    return following if following not in names else first
