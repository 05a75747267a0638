"""``pumasi dashboard``: the pages that households, operators and auditors open."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market.commands.errors import CommandError
from market.record import Record
from market.series.environment import series_from_environment
from market.series.position import read_position, series_name

if TYPE_CHECKING:
    from dashboard.accounts import Accounts
    from dashboard.settings import Settings
    from dashboard.stored import StoredRecord

BY_COMMAND = "pumasi dashboard"
"""Who made an invitation that was made on the machine itself."""


def add(commands: Any, store: Path) -> None:
    text = "make and serve the pages of a community"
    parser = commands.add_parser("dashboard", help=text, description=text.capitalize() + ".")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    init = _action(actions, "init", "set the pages' name, and invite the first operator", _init, store)
    init.add_argument(
        "--name",
        help="the permanent DNS name under which browsers reach the pages; passkeys hold for it and for no other"
        " (default: as it is, or localhost)",
    )
    init.add_argument("--port", type=int, help="the pages' port (default: as it is, or 8000)")
    init.add_argument(
        "--certificate",
        action="store_true",
        help="make or renew a certificate for the name, so that the pages are served over https; from the community's"
        " own authority (pumasi broker init)",
    )
    init.add_argument("--carbon-g-per-kwh", type=int, metavar="G", help="what a kWh from the grid emits, for the pages")
    init.add_argument("--carbon-source", metavar="TEXT", help="who says so")
    init.add_argument("--open-data-licence", metavar="TEXT", help="under which the community's open data may be used")
    invite = _action(actions, "invite", "print a one-time link for a new account", _invite, store)
    invite.add_argument(
        "--role", choices=("household", "operator", "auditor"), default="operator", help="(default: %(default)s)"
    )
    invite.add_argument("--household", metavar="ID", help="whose account; needed with --role household")
    run = _action(actions, "run", "serve the pages until Ctrl-C", _run, store)
    run.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    run.add_argument("--port", type=int, help="default: that of pumasi dashboard init, or 8000; 0 for any")
    run.add_argument(
        "--behind-proxy",
        action="store_true",
        help="a reverse proxy on this machine leads here: believe its X-Forwarded-For and X-Forwarded-Proto",
    )
    run.add_argument(
        "--clock",
        choices=("wall", "record"),
        default="wall",
        help="what time it is for the pages: the machine's, or that of the last settled interval, for a simulated"
        " community (default: %(default)s)",
    )


def _action(actions: Any, name: str, text: str, run: Any, store: Path) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.add_argument("--store", type=Path, default=store, metavar="DIR", help="the store (default: %(default)s)")
    parser.set_defaults(run=lambda arguments: _told(run, arguments))
    return parser


def _told(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    # Imported here and below so that the commands without pages start without a web framework.
    from dashboard.accounts import AccountsError
    from dashboard.settings import SettingsError

    try:
        return run(arguments)
    except (SettingsError, AccountsError) as error:
        raise CommandError(str(error)) from None


def _init(arguments: argparse.Namespace) -> int:
    from dashboard import settings
    from dashboard.accounts import Accounts
    from dashboard.certificate import make_certificate

    _check_record(arguments.store)
    before = settings.load(arguments.store)
    after = settings.changed(
        before,
        name=arguments.name,
        port=arguments.port,
        carbon_g_per_kwh=arguments.carbon_g_per_kwh,
        carbon_source=arguments.carbon_source,
        licence=arguments.open_data_licence,
    )
    if arguments.certificate:
        days = make_certificate(arguments.store, after.name)
        print(f"certificate for {after.name}: valid for {days} days; browsers need the community's authority, once:")
        print(f"  {arguments.store / 'broker' / 'ca.pem'}")
    settings.save(arguments.store, after)
    accounts = Accounts(arguments.store)
    try:
        if before.name != after.name and accounts.has_passkeys():
            print(f"passkeys made under {before.name} do not work under {after.name}; passwords do", file=sys.stderr)
        address = settings.address(arguments.store, after)
        print(f"the pages will be {address}; serve them: pumasi dashboard run --store {arguments.store}")
        if any(account.role == "operator" for account in accounts.people()):
            print(f"there is an operator already; a further one: pumasi dashboard invite --store {arguments.store}")
        else:
            _print_link(accounts, address, "operator", None)
    finally:
        accounts.close()
    return 0


def _invite(arguments: argparse.Namespace) -> int:
    from dashboard import settings
    from dashboard.accounts import Accounts

    known = _check_record(arguments.store)
    if (arguments.role == "household") != (arguments.household is not None):
        raise CommandError("--household belongs to --role household, and is needed there")
    if arguments.household is not None and arguments.household not in known:
        raise CommandError(f"--household {arguments.household}: no such household; known: {', '.join(known[:20])}")
    address = settings.address(arguments.store, settings.load(arguments.store))
    accounts = Accounts(arguments.store)
    try:
        _print_link(accounts, address, arguments.role, arguments.household)
    finally:
        accounts.close()
    return 0


def _check_record(store: Path) -> list[str]:
    """The ids of the store's households. Raises RecordError when there is no record."""
    record = Record(store, read_only=True)
    try:
        return [member.household for member in record.rules(record.input_versions(2**62)).members]
    finally:
        record.close()


def _print_link(accounts: Accounts, address: str, role: Any, household: str | None) -> None:
    from dashboard.accounts import ByCommand

    token = accounts.invite(role, household, ByCommand(BY_COMMAND))
    who = f"household {household}" if household else f"an {role}"
    print(f"for {who}, once, within a week:")
    print(f"  {address}/invitation/{token}")


def _run(arguments: argparse.Namespace) -> int:
    from dashboard import settings
    from dashboard.accounts import Accounts
    from dashboard.certificate import certificate_files, expiry_notice
    from dashboard.serve import serve
    from dashboard.stored import StoredRecord

    kept: Settings = settings.load(arguments.store)
    name = series_name(os.environ)
    record = StoredRecord(arguments.store, lambda: read_position(arguments.store, name))
    series = series_from_environment(os.environ, arguments.store, community=record.community().name, read_only=True)
    accounts = Accounts(arguments.store)
    port = kept.port if arguments.port is None else arguments.port

    def ready(page: str) -> None:
        print(f"the page is {page}", flush=True)
        if port != kept.port:
            address = settings.address(arguments.store, kept)
            print(f"links of init and invite name {address}; another port: pumasi dashboard init --port", flush=True)

    notice = expiry_notice(arguments.store)
    if notice is not None:
        print(notice, file=sys.stderr)
    try:
        return serve(
            record,
            series,
            accounts,
            store=arguments.store,
            settings=kept,
            clock=_record_clock(record) if arguments.clock == "record" else time.time,
            host=arguments.host,
            port=port,
            certificate=certificate_files(arguments.store),
            behind_proxy=arguments.behind_proxy,
            ready=ready,
        )
    finally:
        accounts.close()
        series.close()


def _record_clock(record: StoredRecord) -> Callable[[], float]:
    """The time that the record has reached: the end of its last interval, or when its first meter begins."""

    def now() -> float:
        last = record.last_interval()
        if last is not None:
            return last.start + record.community().interval_s
        return min((meter.since for member in record.rules().members for meter in member.meters), default=0)

    return now
