"""``pumasi meter replace | rotate | revoke | configure | home``: changes of meters that are there."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path
from typing import Any

import msgspec

from broker import identities, settings, site
from broker.identities import Identity
from broker.keys import master_key
from broker.live import Live
from broker.private_files import make_private_folder, write_private
from market.commands.community import author
from market.commands.errors import CommandError
from market.commands.issuing import applies_at, first_interval, read_settings
from market.commands.labels import tell_labels
from market.record import Record
from market.service import issuing, members
from market.service.issuing import check_name, issue, key_of, store_document, unused_key, writing
from market.service.keys import Keys
from market.service.market import MASTER_KEY_FILE
from market.settlement.rules import Registers

AT_ONCE = 0
"""For changes that no interval is settled by: they apply right after what is settled, whatever the clock says."""


def replace(arguments: argparse.Namespace) -> int:
    store, old, new = arguments.store, arguments.meter, arguments.new
    with writing(store) as record, identities.changing(store):
        document = record.document()
        check_name(new, document)
        if new in members.meters(document) or identities.exists(store, new):
            raise CommandError(f"{new}: is a meter already; give the new one a name of its own")
        registers = _registers(arguments.registers, record, old)
        household = members.take_out(document, old)
        since = first_interval(arguments, document)
        members.add_meter(document, new, household, unused_key(record, new), since, registers)
        before = identities.load(store, old) if identities.exists(store, old) else None
        said = {**({} if before is None else before.settings), "seed": registers._asdict()}
        store_document(record, document, applies_at(arguments), author())
        issued = issue(store, document, new, said)
        revoked = identities.revoke(store, before) if arguments.revoke and before is not None else None
    live = Live(store)
    live.let_in([issued])
    if revoked is not None:
        live.throw_off([revoked])
    tell_labels(arguments, [issued])
    at = dt.datetime.fromtimestamp(since, dt.UTC)
    counts = ", ".join(f"{value} Wh {name.removesuffix('_wh')}" for name, value in registers._asdict().items())
    print(
        f"{new} takes over from {old} with the interval that starts at {at:%Y-%m-%d %H:%M} UTC, at {counts}",
        file=sys.stderr,
    )
    if before is not None and revoked is None:
        print(f"{old} may still send what it holds; then: pumasi meter revoke {old}", file=sys.stderr)
    return 0


def _registers(given: str | None, record: Record, old: str) -> Registers:
    """Where a new meter goes on counting [Wh]. Raises CommandError."""
    if given is None:
        newest, _ = record.neighbours(old, 2**62, 0)
        if newest is None:
            raise CommandError(f"{old}: no reading of it is stored; say where the new meter begins: --registers")
        return newest[1]
    values = given.split(",")
    if len(values) != 4 or not all(value.isdecimal() and int(value) < 2**53 for value in values):
        raise CommandError(f"--registers {given}: not four numbers of Wh with commas between them")
    return Registers(*(int(value) for value in values))


def rotate(arguments: argparse.Namespace) -> int:
    store, name = arguments.store, arguments.meter
    if arguments.certificate and arguments.anew:
        raise CommandError("--anew includes --certificate")
    identity = identities.load(store, name)
    if identity.revoked_at is not None and not arguments.anew:
        raise CommandError(f"{name}: is revoked; let it in with new secrets: pumasi meter rotate {name} --anew")
    if arguments.certificate:
        with identities.changing(store):
            identity = identities.with_new_certificate(store, identity)
        tell_labels(arguments, [identity])
        print(f"{name}: its old certificate is good until it enrols with this code, or is flashed", file=sys.stderr)
    elif arguments.anew:
        _rotate_anew(arguments, identity)
    else:
        _next_key_of(store, identity)
    return 0


def _next_key_of(store: Path, identity: Identity) -> None:
    """The key that follows from the present one: the market sends the nonce, the meter answers with the new key."""
    name = identity.meter
    with writing(store) as record, identities.changing(store):
        document = record.document()
        entry = members.meter(document, name)
        pending = Keys(record, master_key(store / MASTER_KEY_FILE)).present(name) != entry["kid"]
        if not pending:
            members.next_key(document, name)
            store_document(record, document, AT_ONCE, author())
        kid = int(members.meter(document, name)["kid"])
        key = key_of(store, document, members.meter(document, name), kid)
        identities.save(store, msgspec.structs.replace(identity, kid=kid, key=key.hex()))
    settings.change(store, name)
    if pending:
        print(f"{name}: has not answered with key {kid} yet; it is told once more")
    else:
        print(f"{name}: is told by the market to go on to key {kid}; key {kid - 1} is good until it answers with it")


def _rotate_anew(arguments: argparse.Namespace, identity: Identity) -> None:
    """Key and certificate that owe nothing to the old ones, which end at once."""
    store, name = arguments.store, identity.meter
    with writing(store) as record, identities.changing(store):
        document = record.document()
        if name not in members.meters(document):
            raise CommandError(f"{name}: has been replaced; it is no meter of the community any more")
        kid = members.fresh_key(document, name)
        store_document(record, document, AT_ONCE, author())
        identities.revoke(store, identity)
        key = key_of(store, document, members.meter(document, name), kid)
        issued = identities.issue(store, name, identity.household, kid, key, identity.settings)
    live = Live(store)
    live.throw_off([identity])
    live.let_in([issued])
    tell_labels(arguments, [issued])


def revoke(arguments: argparse.Namespace) -> int:
    revoked = issuing.revoke(arguments.store, arguments.meters)
    for one in revoked:
        print(f"{one.meter}: revoked; its household's page shows what it sent until now")
    return 0


def configure(arguments: argparse.Namespace) -> int:
    store = arguments.store
    if arguments.all == bool(arguments.meters):
        raise CommandError("give the meters' names, or --all")
    said = read_settings(arguments.settings, settings.MEMBERS - {"firmware", "interval_s"})
    names = list(dict.fromkeys(arguments.meters))
    with identities.changing(store):
        chosen = [identities.load(store, name) for name in names] if names else list(identities.every(store))
        for name in names or [None]:
            version = settings.change(store, name, **said)
        # A meter that is flashed or enrols later is to have them from the beginning.
        changed = [_with_settings(store, one, said) for one in chosen if one.revoked_at is None]
    if "home_assistant" in said:
        Live(store).change_rights(changed)
    print(f"version {version}: the market tells {len(changed)} meters")
    return 0


def _with_settings(store: Path, identity: Identity, said: dict[str, Any]) -> Identity:
    merged = {name: value for name, value in (identity.settings | said).items() if value is not None}
    changed = msgspec.structs.replace(identity, settings=merged)
    identities.save(store, changed)
    return changed


def let_home_in(arguments: argparse.Namespace) -> int:
    """A certificate for the household's Home Assistant; the meter tells it of itself from now on."""
    store, out = arguments.store, arguments.out
    if out.exists() and any(out.iterdir()):
        raise CommandError(f"--out {out}: is not empty; nothing is overwritten")
    with identities.changing(store):
        identity = identities.load(store, arguments.meter)
        if identity.revoked_at is not None:
            raise CommandError(f"{identity.meter}: is revoked")
        issued, key = identities.issue_home(store, identity)
        issued = _with_settings(store, issued, {"home_assistant": True})
        settings.change(store, identity.meter, home_assistant=True)
    make_private_folder(out)
    write_private(out / "ca.pem", (site.directory(store) / "ca.pem").read_bytes())
    write_private(out / "client.pem", issued.home_certificate)
    write_private(out / "client.key", key)
    live = Live(store)
    live.change_rights([issued])
    live.let_home_in(issued)
    place = site.load(store)
    print(
        f"{issued.meter}: in Home Assistant, add the MQTT integration with broker {place.hosts[0]}, port {place.port},"
        f" client id {issued.home_user} and the files in {out}"
    )
    return 0
