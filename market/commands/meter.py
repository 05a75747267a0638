"""``pumasi meter``: the meters' identities, from the first label to the last revocation."""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import segno

from broker import certificates, enrolment, identities, settings, site
from broker.contract import is_identifier, user
from broker.identities import Identity
from broker.keys import master_key, meter_key
from broker.live import Live
from broker.private_files import write_private
from market.commands import doctor, members
from market.commands.broker import add_store, told
from market.commands.community import author
from market.commands.errors import CommandError
from market.record import Record
from market.service.keys import Keys, Known
from market.service.market import MASTER_KEY_FILE
from market.settlement.rules import Registers, RulesError

NOTHING = Registers(0, 0, 0, 0)
AT_ONCE = 0
"""For changes that no interval is settled by: they apply right after what is settled, whatever the clock says."""


def add(commands: Any) -> None:
    text = "give meters their identities, renew and revoke them"
    parser = commands.add_parser("meter", help=text, description=text.capitalize() + ".")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_add(actions)
    listing = _action(actions, "list", "every meter, and whether it may in", _list, meters=None)
    listing.add_argument("--json", action="store_true", help="as JSON")
    show = _action(actions, "show", "one meter's identity, without its secrets", _show)
    show.add_argument("--json", action="store_true", help="as JSON")
    label = _action(actions, "label", "a new enrolment code for a meter; its older one ends", _label)
    _add_qr(label)
    configure = _action(actions, "configure", "tell meters new settings over the air", _configure, meters="*")
    configure.add_argument("--all", action="store_true", help="every meter")
    configure.add_argument(
        "--settings", type=Path, required=True, metavar="FILE", help="JSON object; null takes a member out"
    )
    rotate = _action(actions, "rotate", "the meter's next key, over the air", _rotate)
    rotate.add_argument(
        "--certificate", action="store_true", help="a new certificate instead, fetched by enrolling or flashing again"
    )
    rotate.add_argument(
        "--anew",
        action="store_true",
        help="key and certificate anew, for a meter whose secrets are out: the old ones end at once",
    )
    _add_qr(rotate)
    _action(actions, "revoke", "throw meters out, at once and for good", _revoke, meters="+")
    _add_replace(actions)
    doctor.add(actions)


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
    _add_qr(parser)


SINCE = "start of the first interval that counts (default: the next one)"


def _add_replace(actions: Any) -> None:
    parser = _action(actions, "replace", "a new device for a household, in the place of an old one", _replace)
    parser.add_argument("new", metavar="NEW", help="the new meter's name")
    parser.add_argument(
        "--registers",
        metavar="IMPORT,EXPORT,GENERATION,CONSUMPTION",
        help="where it goes on counting [Wh] (default: the old one's last stored reading)",
    )
    parser.add_argument("--since", type=int, metavar="EPOCH", help=SINCE)
    parser.add_argument("--revoke", action="store_true", help="throw the old one out now; what it still holds is lost")
    _add_qr(parser)


def _add_qr(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--qr", type=Path, metavar="DIR", help="write METER.png and METER.svg here (default: draw it on the terminal)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, with the code's text")


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


@contextmanager
def _record(store: Path) -> Iterator[Record]:
    site.load(store)
    site.authority(store)  # whoever changes members here signs for them next: better not to begin without
    record = Record(store)
    try:
        yield record
    finally:
        record.close()


def _store(record: Record, document: Any, now: int) -> None:
    """Store the document, to apply to intervals that start from ``now`` [epoch s] on. Raises CommandError."""
    try:
        record.store_document(document, now, author())
    except RulesError as error:
        raise CommandError(str(error)) from None


# add, replace


def _add(arguments: argparse.Namespace) -> int:
    store = arguments.store
    said = _settings(arguments.settings, identities.SETTINGS)
    with _record(store) as record, identities.changing(store):
        document = record.document()
        wanted = _wanted(arguments, document)
        for name in wanted:
            if identities.exists(store, name):
                raise CommandError(f"{name}: has an identity already (a new label: pumasi meter label {name})")
        new = [name for name in wanted if name not in members.meters(document)]
        if new:
            _enter(arguments, record, document, new)
            _store(record, document, _now(arguments))
        issued = [_issue(store, document, name, said) for name in wanted]
    Live(store).let_in(issued)
    _tell_labels(arguments, issued)
    return 0


def _wanted(arguments: argparse.Namespace, document: Any) -> list[str]:
    """The meters that are asked for. Raises CommandError."""
    if arguments.all == bool(arguments.meters):
        raise CommandError("give the meters' names, or --all for those of the community that have no identity yet")
    if arguments.all:
        return [name for name in sorted(members.meters(document)) if not identities.exists(arguments.store, name)]
    for name in arguments.meters:
        _check_name(name, document)
    return list(dict.fromkeys(arguments.meters))


def _check_name(name: str, document: Any) -> None:
    """Raises CommandError for a name that no meter can have."""
    if not is_identifier(name):
        raise CommandError(f"{name}: not a meter's name: 1 to 32 of a-z, 0-9 and the hyphen")
    if len(user(document["community"], name)) > certificates.MAX_NAME:
        most = certificates.MAX_NAME - len(document["community"]) - 1
        raise CommandError(f"{name}: too long for a certificate beside the community's name: at most {most}")


def _enter(arguments: argparse.Namespace, record: Record, document: Any, new: list[str]) -> None:
    """Put new meters into the document. Raises CommandError."""
    if arguments.household is None:
        raise CommandError(f"{new[0]}: not in the community; say whose it is: --household")
    if arguments.node is not None or arguments.tariff is not None:
        if arguments.node is None or arguments.tariff is None:
            raise CommandError("a new household needs --node and --tariff")
        members.add_household(document, arguments.household, arguments.node, arguments.tariff, arguments.name)
    for name in new:
        key = _unused_key(record, name)
        members.add_meter(document, name, arguments.household, key, _since(arguments, document), NOTHING)


def _unused_key(record: Record, name: str) -> Known:
    """A key that no meter of this name ever had."""
    newest = Keys(record, b"").known(name)
    return Known(1, {}) if newest is None else Known(newest.kid + 1, newest.nonces)


def _now(arguments: argparse.Namespace) -> int:
    """From when a change of the members applies: the moment, or the interval that was named."""
    return int(time.time()) if arguments.since is None else int(arguments.since)


def _since(arguments: argparse.Namespace, document: Any) -> int:
    length_s = int(document["interval_s"])
    if arguments.since is None:
        return (int(time.time()) // length_s + 1) * length_s
    return int(arguments.since)


def _issue(store: Path, document: Any, name: str, said: dict[str, Any]) -> Identity:
    entry = members.meter(document, name)
    kid = int(entry["kid"])
    return identities.issue(store, name, members.meters(document)[name], kid, _key(store, document, entry, kid), said)


def _key(store: Path, document: Any, entry: Any, kid: int) -> bytes:
    nonces = {int(number): nonce for number, nonce in entry.get("nonces", {}).items()}
    return meter_key(master_key(store / MASTER_KEY_FILE), document["community"], entry["meter"], kid, nonces)


def _replace(arguments: argparse.Namespace) -> int:
    store, old, new = arguments.store, arguments.meter, arguments.new
    with _record(store) as record, identities.changing(store):
        document = record.document()
        _check_name(new, document)
        if new in members.meters(document) or identities.exists(store, new):
            raise CommandError(f"{new}: is a meter already; give the new one a name of its own")
        registers = _registers(arguments.registers, record, old)
        household = members.take_out(document, old)
        since = _since(arguments, document)
        members.add_meter(document, new, household, _unused_key(record, new), since, registers)
        before = identities.load(store, old) if identities.exists(store, old) else None
        said = {**({} if before is None else before.settings), "seed": registers._asdict()}
        _store(record, document, _now(arguments))
        issued = _issue(store, document, new, said)
        revoked = identities.revoke(store, before) if arguments.revoke and before is not None else None
    live = Live(store)
    live.let_in([issued])
    if revoked is not None:
        live.throw_off([revoked])
    _tell_labels(arguments, [issued])
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


# rotate, revoke, configure


def _rotate(arguments: argparse.Namespace) -> int:
    store, name = arguments.store, arguments.meter
    if arguments.certificate and arguments.anew:
        raise CommandError("--anew includes --certificate")
    identity = identities.load(store, name)
    if identity.revoked_at is not None and not arguments.anew:
        raise CommandError(f"{name}: is revoked; let it in with new secrets: pumasi meter rotate {name} --anew")
    if arguments.certificate:
        with identities.changing(store):
            identity = identities.with_new_certificate(store, identity)
        _tell_labels(arguments, [identity])
        print(f"{name}: its old certificate is good until it enrols with this code, or is flashed", file=sys.stderr)
    elif arguments.anew:
        _rotate_anew(arguments, identity)
    else:
        _rotate_key(store, identity)
    return 0


def _rotate_key(store: Path, identity: Identity) -> None:
    """The key that follows from the present one: the market sends the nonce, the meter answers with the new key."""
    name = identity.meter
    with _record(store) as record, identities.changing(store):
        document = record.document()
        entry = members.meter(document, name)
        pending = Keys(record, master_key(store / MASTER_KEY_FILE)).present(name) != entry["kid"]
        if not pending:
            members.next_key(document, name)
            _store(record, document, AT_ONCE)
        kid = int(members.meter(document, name)["kid"])
        key = _key(store, document, members.meter(document, name), kid)
        identities.save(store, msgspec.structs.replace(identity, kid=kid, key=key.hex()))
    settings.change(store, name)
    if pending:
        print(f"{name}: has not answered with key {kid} yet; it is told once more")
    else:
        print(f"{name}: is told by the market to go on to key {kid}; key {kid - 1} is good until it answers with it")


def _rotate_anew(arguments: argparse.Namespace, identity: Identity) -> None:
    """Key and certificate that owe nothing to the old ones, which end at once."""
    store, name = arguments.store, identity.meter
    with _record(store) as record, identities.changing(store):
        document = record.document()
        if name not in members.meters(document):
            raise CommandError(f"{name}: has been replaced; it is no meter of the community any more")
        kid = members.fresh_key(document, name)
        _store(record, document, AT_ONCE)
        identities.revoke(store, identity)
        key = _key(store, document, members.meter(document, name), kid)
        issued = identities.issue(store, name, identity.household, kid, key, identity.settings)
    live = Live(store)
    live.throw_off([identity])
    live.let_in([issued])
    _tell_labels(arguments, [issued])


def _revoke(arguments: argparse.Namespace) -> int:
    store = arguments.store
    with identities.changing(store):
        found = [identities.load(store, name) for name in dict.fromkeys(arguments.meters)]
        revoked = [identities.revoke(store, one) if one.revoked_at is None else one for one in found]
        for one in revoked:
            enrolment.forget(store, one.meter)
    Live(store).throw_off(revoked)
    for one in revoked:
        print(f"{one.meter}: revoked; its household's page shows what it sent until now")
    return 0


def _configure(arguments: argparse.Namespace) -> int:
    store = arguments.store
    if arguments.all == bool(arguments.meters):
        raise CommandError("give the meters' names, or --all")
    said = _settings(arguments.settings, settings.MEMBERS - {"firmware", "interval_s"})
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


def _settings(path: Path | None, allowed: frozenset[str]) -> dict[str, Any]:
    """The members of a settings file. Raises CommandError."""
    if path is None:
        return {}
    try:
        said = json.loads(path.read_text())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{path}: not JSON: {error}") from None
    if not isinstance(said, dict):
        raise CommandError(f"{path}: not a JSON object")
    for name in said:
        if name not in allowed:
            raise CommandError(f"{path}: {name} cannot be set; known: {', '.join(sorted(allowed))}")
    return said


# list, show, label


def _list(arguments: argparse.Namespace) -> int:
    store = arguments.store
    rows = [_described(store, one) for one in identities.every(store)]
    if arguments.json:
        print(json.dumps(rows))
        return 0
    widths = [max(len(str(row[name])) for row in [dict.fromkeys(COLUMNS, ""), *rows, HEADINGS]) for name in COLUMNS]
    for row in [HEADINGS, *rows]:
        print("  ".join(str(row[name]).ljust(width) for name, width in zip(COLUMNS, widths, strict=True)).rstrip())
    return 0


COLUMNS = ("meter", "household", "state", "key", "valid_until")
HEADINGS = {"meter": "METER", "household": "HOUSEHOLD", "state": "STATE", "key": "KEY", "valid_until": "VALID UNTIL"}


def _described(store: Path, identity: Identity) -> dict[str, Any]:
    certificate = certificates.read_certificate(identity.certificate.encode())
    until = enrolment.open_until(store, int(time.time())).get(identity.meter)
    if identity.revoked_at is not None:
        state = "revoked"
    elif identity.handed_over_at is not None:
        state = "handed over"
    else:
        state = "may enrol" if until is not None else "label needed"
    return {
        "meter": identity.meter,
        "household": identity.household,
        "state": state,
        "key": identity.kid,
        "valid_until": f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        "serial": f"{certificate.serial_number:x}",
        "enrol_until": until,
        "settings": identity.settings,
    }


def _show(arguments: argparse.Namespace) -> int:
    row = _described(arguments.store, identities.load(arguments.store, arguments.meter))
    said = settings.load(arguments.store).of(arguments.meter)
    row |= {"config_version": said.version, "config": said.members}
    if arguments.json:
        print(json.dumps(row))
        return 0
    for name, value in row.items():
        print(f"{name.replace('_', ' ')}: {json.dumps(value) if isinstance(value, dict) else value}")
    return 0


def _label(arguments: argparse.Namespace) -> int:
    identity = identities.load(arguments.store, arguments.meter)
    if identity.revoked_at is not None:
        raise CommandError(f"{identity.meter}: is revoked")
    _tell_labels(arguments, [identity])
    return 0


def _tell_labels(arguments: argparse.Namespace, issued: list[Identity]) -> None:
    """Draw an enrolment token for each, and give its label: the code, and the access point's password."""
    now = int(time.time())
    enrolment.sweep(arguments.store, now)
    texts = {
        one.meter: enrolment.qr_text(arguments.store, enrolment.new_token(arguments.store, one.meter, now))
        for one in issued
    }
    if arguments.qr is not None:
        arguments.qr.mkdir(parents=True, exist_ok=True)
        for meter, text in texts.items():
            _draw(arguments.qr, meter, text)
    until = dt.datetime.fromtimestamp(now + enrolment.LIFETIME_S, dt.UTC)
    if arguments.json:
        print(json.dumps([{
            "meter": one.meter, "household": one.household, "code": texts[one.meter],
            "label_password": one.label_password, "enrol_until": now + enrolment.LIFETIME_S,
        } for one in issued]))  # fmt: skip
        return
    for one in issued:
        if arguments.qr is None and sys.stdout.isatty() and len(issued) == 1:
            segno.make(texts[one.meter], error="m", boost_error=False).terminal(compact=True)
        print(
            f"{one.meter}: household {one.household}; Wi-Fi password of its access point {one.label_password};"
            f" enrols until {until:%Y-%m-%d %H:%M} UTC with {texts[one.meter]}"
        )


def _draw(folder: Path, meter: str, text: str) -> None:
    """The code as PNG and SVG. Private: it lets the first who scans it enrol."""
    code = segno.make(text, error="m", mode="alphanumeric", boost_error=False)
    for kind, size in (("png", 8), ("svg", 4)):
        drawn = io.BytesIO()
        code.save(drawn, kind=kind, scale=size)
        write_private(folder / f"{meter}.{kind}", drawn.getvalue())
