"""``pumasi meter``: the meters' identities, from the first label to the last revocation."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from broker import certificates, enrolment, identities, settings
from broker.identities import Identity
from broker.live import Live
from broker.running import running
from market.commands import calibrate, doctor
from market.commands.broker import add_store, told
from market.commands.community import author
from market.commands.errors import CommandError
from market.commands.issuing import applies_at, first_interval, read_settings
from market.commands.labels import add_qr, tell_labels
from market.commands.meter_changes import configure, let_home_in, replace, revoke, rotate
from market.record import Record
from market.service import members
from market.service.issuing import NOTHING, check_name, issue, store_document, unused_key, writing

SINCE = "start of the first interval that counts (default: the next one)"


def add(commands: Any) -> None:
    text = "give meters their identities, renew and revoke them"
    parser = commands.add_parser("meter", help=text, description=text.capitalize() + ".")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_add(actions)
    listing = _action(
        actions, "list", "every meter, whether it may in, and up to when it was heard", _list, meters=None
    )
    listing.add_argument("--json", action="store_true", help="as JSON")
    show = _action(actions, "show", "one meter's identity, without its secrets", _show)
    show.add_argument("--json", action="store_true", help="as JSON")
    label = _action(actions, "label", "a new enrolment code for a meter; its older one ends", _label)
    add_qr(label)
    _add_configure(actions)
    _add_rotate(actions)
    _action(actions, "revoke", "throw meters out, at once and for good", revoke, meters="+")
    _add_replace(actions)
    home = _action(actions, "home", "let a household's Home Assistant read its own meter", let_home_in)
    home.add_argument("--out", type=Path, required=True, metavar="DIR", help="where ca.pem, client.pem, client.key go")
    doctor.add(actions)
    calibrate.add(actions)


def _add_add(actions: Any) -> None:
    parser = _action(actions, "add", "give meters identity, key, certificate and label", _add, meters="*")
    parser.add_argument("--all", action="store_true", help="every meter of the community that has no identity yet")
    parser.add_argument("--household", metavar="NAME", help="whose the meter is, when it is new in the community")
    parser.add_argument("--node", help="a new household's place in the network")
    parser.add_argument("--tariff", help="a new household's tariff")
    parser.add_argument("--name", help="a new household's name on its page")
    parser.add_argument("--since", type=int, metavar="EPOCH", help=SINCE)
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="JSON object of config.json's members: sensors, board, display, …"
    )
    add_qr(parser)


def _add_configure(actions: Any) -> None:
    parser = _action(actions, "configure", "tell meters new settings over the air", configure, meters="*")
    parser.add_argument("--all", action="store_true", help="every meter")
    parser.add_argument(
        "--settings", type=Path, required=True, metavar="FILE", help="JSON object; null takes a member out"
    )


def _add_rotate(actions: Any) -> None:
    parser = _action(actions, "rotate", "the meter's next key, over the air", rotate)
    parser.add_argument(
        "--certificate", action="store_true", help="a new certificate instead, fetched by enrolling or flashing again"
    )
    parser.add_argument(
        "--anew",
        action="store_true",
        help="key and certificate anew, for a meter whose secrets are out: the old ones end at once",
    )
    add_qr(parser)


def _add_replace(actions: Any) -> None:
    parser = _action(actions, "replace", "a new device for a household, in the place of an old one", replace)
    parser.add_argument("new", metavar="NEW", help="the new meter's name")
    parser.add_argument(
        "--registers",
        metavar="IMPORT,EXPORT,GENERATION,CONSUMPTION",
        help="where it goes on counting [Wh] (default: the old one's last stored reading)",
    )
    parser.add_argument("--since", type=int, metavar="EPOCH", help=SINCE)
    parser.add_argument("--revoke", action="store_true", help="throw the old one out now; what it still holds is lost")
    add_qr(parser)


def _action(
    actions: Any, name: str, text: str, run: Callable[[argparse.Namespace], int], meters: str | None = ""
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text.capitalize() + ".")
    if meters == "":
        parser.add_argument("meter", metavar="METER")
    elif meters is not None:
        parser.add_argument("meters", nargs=meters, metavar="METER")
    add_store(parser)
    parser.set_defaults(run=lambda arguments: told(run, arguments))
    return parser


def _add(arguments: argparse.Namespace) -> int:
    store = arguments.store
    said = read_settings(arguments.settings, identities.SETTINGS)
    with writing(store) as record, identities.changing(store):
        document = record.document()
        wanted = _wanted(arguments, document)
        for name in wanted:
            if identities.exists(store, name):
                raise CommandError(f"{name}: has an identity already (a new label: pumasi meter label {name})")
        new = [name for name in wanted if name not in members.meters(document)]
        if new:
            _enter(arguments, record, document, new)
            store_document(record, document, applies_at(arguments), author())
        issued = [issue(store, document, name, said) for name in wanted]
    Live(store).let_in(issued)
    tell_labels(arguments, issued)
    if arguments.json:
        return 0
    if not issued:
        print("every meter has an identity already (pumasi meter list; a new label: pumasi meter label METER)")
    elif arguments.qr is not None:
        print(f"the labels are in {arguments.qr}, METER.png and METER.svg each; they let in whoever scans them first")
        if running(store) is None:
            print(f"next: pumasi broker run --store {store}")
    return 0


def _wanted(arguments: argparse.Namespace, document: Any) -> list[str]:
    """The meters that are asked for. Raises CommandError."""
    if arguments.all == bool(arguments.meters):
        raise CommandError("give the meters' names, or --all for those of the community that have no identity yet")
    if arguments.all:
        return [name for name in sorted(members.meters(document)) if not identities.exists(arguments.store, name)]
    for name in arguments.meters:
        check_name(name, document)
    return list(dict.fromkeys(arguments.meters))


def _enter(arguments: argparse.Namespace, record: Record, document: Any, new: list[str]) -> None:
    """Put new meters into the document. Raises CommandError."""
    if arguments.household is None:
        raise CommandError(f"{new[0]}: not in the community; say whose it is: --household")
    if arguments.node is not None or arguments.tariff is not None:
        if arguments.node is None or arguments.tariff is None:
            raise CommandError("a new household needs --node and --tariff")
        members.add_household(document, arguments.household, arguments.node, arguments.tariff, arguments.name)
    for name in new:
        key = unused_key(record, name)
        members.add_meter(document, name, arguments.household, key, first_interval(arguments, document), NOTHING)


def _list(arguments: argparse.Namespace) -> int:
    store = arguments.store
    enrolling = enrolment.open_until(store, int(time.time()))
    record = Record(store, read_only=True)
    try:
        document, heard = record.document(), record.last_heard()
    finally:
        record.close()
    zone, length_s = ZoneInfo(document["timezone"]), document["interval_s"]
    rows = [_described(one, enrolling.get(one.meter)) for one in identities.every(store)]
    for row in rows:
        row["last_heard"] = heard[row["meter"]] + length_s if row["meter"] in heard else None
    if arguments.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        at = row["last_heard"]
        row["last_heard"] = "never" if at is None else f"{dt.datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"
    widths = [max(len(str(row[name])) for row in [dict.fromkeys(COLUMNS, ""), *rows, HEADINGS]) for name in COLUMNS]
    for row in [HEADINGS, *rows]:
        print("  ".join(str(row[name]).ljust(width) for name, width in zip(COLUMNS, widths, strict=True)).rstrip())
    return 0


COLUMNS = ("meter", "household", "state", "key", "valid_until", "last_heard")
HEADINGS = {name: name.replace("_", " ").upper() for name in COLUMNS}


def _described(identity: Identity, enrol_until: int | None) -> dict[str, Any]:
    certificate = certificates.read_certificate(identity.certificate.encode())
    if identity.revoked_at is not None:
        state = "revoked"
    elif identity.handed_over_at is not None:
        state = "handed over"
    else:
        state = "may enrol" if enrol_until is not None else "label needed"
    return {
        "meter": identity.meter,
        "household": identity.household,
        "state": state,
        "key": identity.kid,
        "valid_until": f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        "serial": f"{certificate.serial_number:x}",
        "enrol_until": enrol_until,
        "settings": identity.settings,
    }


def _show(arguments: argparse.Namespace) -> int:
    enrolling = enrolment.open_until(arguments.store, int(time.time()))
    row = _described(identities.load(arguments.store, arguments.meter), enrolling.get(arguments.meter))
    said = settings.load(arguments.store).of(arguments.meter)
    row |= {"config_version": said.version, "config": said.members}
    if arguments.json:
        print(json.dumps(row))
        return 0
    if row["enrol_until"] is not None:
        row["enrol_until"] = f"{dt.datetime.fromtimestamp(row['enrol_until'], dt.UTC):%Y-%m-%d %H:%M} UTC"
    for name, value in row.items():
        print(f"{name.replace('_', ' ')}: {json.dumps(value) if isinstance(value, dict) else value}")
    return 0


def _label(arguments: argparse.Namespace) -> int:
    identity = identities.load(arguments.store, arguments.meter)
    if identity.revoked_at is not None:
        raise CommandError(f"{identity.meter}: is revoked")
    tell_labels(arguments, [identity])
    return 0
