"""``pumasi broker``: make, run and renew the broker that meters connect to."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import ssl
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker import certificates, identities, refusals, renewal, site
from broker.certificates import CertificateError
from broker.dynamic_security import ControlError
from broker.initialise import initialise
from broker.running import running
from broker.site import HUB_PORT, LOOPBACK_PORT, PORT, Site, SiteError, check_host
from market.commands.community import begin_community, read_community
from market.commands.errors import CommandError
from market.record import Record
from market.service.members import MembersError

PASSWORD_VARIABLE = "PUMASI_BROKER_PASSWORD"


@dataclass(frozen=True)
class Access:
    """How to reach the broker: a password over loopback, or a certificate over TLS.

    ``name`` is the user's, after the community's: ``_market``, or ``_reader`` who may only listen.
    """

    name: str
    host: str
    port: int
    password: str | None
    tls: ssl.SSLContext | None


def add(commands: Any) -> None:
    text = "make, run and renew the broker that meters connect to"
    parser = commands.add_parser("broker", help=text, description=text.capitalize() + ".")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    init = _action(actions, "init", "make authority, certificates and configuration in the store", _init)
    init.add_argument(
        "--host",
        action="append",
        required=True,
        metavar="NAME",
        help="DNS name or IPv4 address of this machine, as meters reach it; more than one is allowed, the first is"
        " what meters are told",
    )
    init.add_argument(
        "--community", type=Path, metavar="FILE", help="begin the store with this community.json, when it is new"
    )
    for option, port, what in (
        ("--port", PORT, "for meters, TLS"),
        ("--hub-port", HUB_PORT, "enrolment and firmware"),
        ("--loopback-port", LOOPBACK_PORT, "for the market, this machine only"),
    ):
        init.add_argument(option, type=int, metavar="PORT", help=f"{what} (default: as it is, or {port})")
    init.add_argument("--bind", metavar="ADDRESS", help="listen on this address only (default: all of the machine)")
    _action(actions, "run", "run the broker and its hub until Ctrl-C", _run)
    renew = _action(actions, "renew", "renew the server's certificate and the revocation list", _renew)
    renew.add_argument("--host", action="append", metavar="NAME", help="the machine's names from now on")
    show = _action(actions, "show", "what there is, how long it is valid, who was refused", _show)
    show.add_argument("--json", action="store_true", help="as JSON")


def add_access(parser: argparse.ArgumentParser) -> None:
    """Options of a command that connects as the market."""
    parser.add_argument(
        "--broker",
        metavar="HOST:PORT",
        help="default: the broker of the store (pumasi broker init), or 127.0.0.1:1883",
    )
    parser.add_argument("--broker-ca", type=Path, metavar="FILE", help="TLS: the authority's certificate, ca.pem")
    parser.add_argument(
        "--broker-certificate", type=Path, metavar="FILE", help="TLS: the market's own certificate, market.pem"
    )
    parser.add_argument("--broker-key", type=Path, metavar="FILE", help="TLS: its key, market.key")


def access(arguments: argparse.Namespace, environment: Mapping[str, str], *, listen_only: bool = False) -> Access:
    """How to reach the broker, from options, environment and store, in this order. Raises CommandError.

    ``listen_only``: beside a market that runs, whose connection another one of its user would end.
    """
    host, port = _address(arguments)
    tls = _context(arguments.broker_ca, arguments.broker_certificate, arguments.broker_key)
    password = environment.get(PASSWORD_VARIABLE)
    if tls is None and password is None and (site.directory(arguments.store) / "broker.json").exists():
        accounts = site.accounts(arguments.store)
        if listen_only:
            return Access("_reader", host, port, accounts.reader, None)
        password = accounts.market
    return Access("_market", host, port, password, tls)


def _address(arguments: argparse.Namespace) -> tuple[str, int]:
    if arguments.broker is None:
        made = (site.directory(arguments.store) / "broker.json").exists()
        return "127.0.0.1", site.load(arguments.store).loopback_port if made else LOOPBACK_PORT
    host, _, port = arguments.broker.rpartition(":")
    if not host or not port.isdecimal():
        raise CommandError(f"--broker {arguments.broker}: not HOST:PORT")
    if not 0 < int(port) < 65_536:
        raise CommandError(f"--broker {arguments.broker}: {port} is no port")
    return host, int(port)


def _context(authority: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    given = [authority, certificate, key]
    if given == [None] * 3:
        return None
    if authority is None or certificate is None or key is None:
        raise CommandError("--broker-ca, --broker-certificate and --broker-key belong together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"--broker-ca {authority}: {_reason(error)}") from None
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"--broker-certificate {certificate}, --broker-key {key}: {_reason(error)}") from None
    return context


def _reason(error: OSError) -> str:
    return error.strerror if error.strerror and not isinstance(error, ssl.SSLError) else "not a certificate or key"


def _action(actions: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text.capitalize() + ".")
    add_store(parser)
    parser.set_defaults(run=lambda arguments: told(run, arguments))
    return parser


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store``; ``PUMASI_STORE`` stands in for it; ``main`` says when there is neither."""
    store = os.environ.get("PUMASI_STORE")
    parser.add_argument(
        "--store",
        type=Path,
        default=None if store is None else Path(store),
        metavar="DIR",
        help="the community's store (default: PUMASI_STORE)",
    )


def told(run: Any, arguments: argparse.Namespace) -> int:
    """Run an action whose failures are the broker's own. Raises CommandError."""
    try:
        return int(run(arguments))
    except (SiteError, CertificateError, ControlError, MembersError) as error:
        raise CommandError(str(error)) from None


def _init(arguments: argparse.Namespace) -> int:
    there = site.load(arguments.store) if (site.directory(arguments.store) / "broker.json").exists() else None
    ports = []
    for name, default in (("port", PORT), ("hub_port", HUB_PORT), ("loopback_port", LOOPBACK_PORT)):
        given = getattr(arguments, name)
        if given is not None and not 0 < given < 65_536:
            raise CommandError(f"--{name.replace('_', '-')} {given}: no port")
        ports.append(given if given is not None else default if there is None else getattr(there, name))
    port, hub_port, loopback_port = ports
    bind = arguments.bind if arguments.bind is not None or there is None else there.bind
    if len(set(ports)) < len(ports):
        raise CommandError("--port, --hub-port and --loopback-port: must differ")
    hosts = list(dict.fromkeys(check_host(host) for host in arguments.host))
    document = _document(arguments.store, arguments.community)
    wanted = Site(document["community"], document["interval_s"], hosts, port, loopback_port, hub_port, bind)
    made = initialise(arguments.store, wanted)
    for line in made:
        print(f"made: {line}")
    folder = site.directory(arguments.store)
    if not made:
        print(f"{folder}: complete, nothing to do")
        return 0
    print(f"all of it lies in {folder}; {folder / 'ca.key'} signs for every meter: keep a copy in a safe place")
    print(f"next: pumasi meter add --all --store {arguments.store}, then pumasi broker run --store {arguments.store}")
    return 0


def _document(store: Path, community: Path | None) -> Mapping[str, Any]:
    """The community of the store; from the file where the store is to begin with it. Raises CommandError."""
    if community is None:
        record = Record(store, read_only=True)
    else:
        bodies = read_community(community)
        record = Record(store)
    try:
        if community is not None:
            begin_community(record, bodies, community)
        return record.document()
    finally:
        record.close()


def _run(arguments: argparse.Namespace) -> int:
    # Imported here so that the other commands start without a web framework.
    from broker.serve import serve

    return serve(arguments.store, lambda text: print(text, file=sys.stderr, flush=True))


def _renew(arguments: argparse.Namespace) -> int:
    hosts = None
    if arguments.host:
        hosts = list(dict.fromkeys(check_host(host) for host in arguments.host))
    for line in renewal.renew(arguments.store, hosts):
        print(line)
    now = running(arguments.store)
    print("the broker that runs here takes it in by itself" if now else "it holds from the next start on")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    shown = _state(arguments.store)
    print(json.dumps(shown) if arguments.json else "\n".join(_lines(shown)))
    return 0


def _state(store: Path) -> dict[str, Any]:
    place, now = site.load(store), site.now()
    run = running(store)
    issued = list(identities.every(store))
    return {
        "community": place.community,
        "hosts": place.hosts,
        "port": place.port,
        "hub_port": place.hub_port,
        "loopback_port": place.loopback_port,
        "running": None if run is None else run.kind,
        "meters": sum(identity.revoked_at is None for identity in issued),
        "revoked": sum(identity.revoked_at is not None for identity in issued),
        "valid_days": {
            what: certificates.days_left(site.certificate(store, name), now)
            for name, what in (("ca", "authority"), ("server", "server"), ("market", "market"))
        },
        "running_out": renewal.running_out(store),
        "refused": {
            name: {"count": refusal.count, "last": refusal.who, "at": refusal.at}
            for name, refusal in sorted(refusals.read(store).items())
        },
    }


def _lines(shown: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{shown['community']}: {', '.join(shown['hosts'])}; meters {shown['port']}, hub {shown['hub_port']},"
        f" market {shown['loopback_port']} (loopback)"
    )
    yield f"running: {shown['running'] or 'no'}; meters: {shown['meters']}, revoked: {shown['revoked']}"
    for what, days in shown["valid_days"].items():
        yield f"certificate of the {what}: {days} days left"
    yield from shown["running_out"]
    for name, refusal in shown["refused"].items():
        at = dt.datetime.fromtimestamp(refusal["at"], dt.UTC)
        yield f"refused {name}: {refusal['count']}, the last at {at:%Y-%m-%d %H:%M:%S} UTC: {refusal['last']}"
