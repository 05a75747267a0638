"""``pumasi demo``: a street of real homes trades, from the meters' firmware to the household's page."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from broker.contract import market_user
from broker.private_files import make_private_folder
from broker.run import BrokerError, RunningBroker, start_broker
from firmware.host.community import CURRENCY
from firmware.host.conductor import Child, Children, Conductor, ConductorError
from firmware.host.street import Street, load_street, with_homes
from market.commands.errors import CommandError
from market.commands.progress import progress_line, unusual
from market.commands.street import COMMUNITY, PUMASI, begin_store, broker_accounts, start_market, start_meters
from market.record import Record
from market.record.lock import sole

HOMES, REAL_HOMES = 12, 12
MARKER = "demo.json"
GRACE_S = 10.0
STEP_TIMEOUT_S = 120.0
READY_S, QUIET_S = 30.0, 1.0
GRID_CARBON = (363, "Umweltbundesamt: the German mix of 2024, Strommix 1990-2024 (2025)")
"""What a kWh of the grid emits [g CO2], and who says so."""
DOOR_S = 30 * 86_400
NAMED = 3
"""Homes beside the visitor's whose names are shown."""
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_S, BROKER_STOP_S = 1.6, 0.8
"""Ctrl-C ends every child within 3 s: this long they may take by themselves."""


def add(commands: Any) -> None:
    text = "a street of real homes trades for a simulated summer week"
    parser = commands.add_parser(
        "demo",
        help=text,
        description="Twelve homes of a real low-voltage grid live a real summer week of quarter-hours: their meters run"
        " the firmware itself, publish over MQTT, the market clears and settles, and a page shows each household"
        " what it earned. Ctrl-C ends it.",
    )
    parser.add_argument("--homes", type=int, default=HOMES, metavar="N", help="how many homes (default: %(default)s)")
    parser.add_argument(
        "--fleet",
        choices=("firmware", "light"),
        default="firmware",
        help="firmware: every meter runs the firmware in a process of its own; light: the first --firmware-homes do,"
        " the rest run as one process (for thousands of meters) (default: %(default)s)",
    )
    parser.add_argument(
        "--firmware-homes",
        type=int,
        default=REAL_HOMES,
        metavar="K",
        help="with --fleet light: how many homes still run the firmware (default: %(default)s)",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="least wall time per quarter-hour (default: %(default)s)",
    )
    parser.add_argument("--days", type=float, default=7.0, metavar="D", help="how long to run (default: %(default)s)")
    parser.add_argument(
        "--exit", action="store_true", help="end when the days are over, instead of keeping the page up"
    )
    parser.add_argument("--json", action="store_true", help="the last line of standard output is a JSON summary")
    parser.add_argument("--port", type=int, default=8000, help="the page's port; 0 for any (default: %(default)s)")
    parser.add_argument(
        "--broker",
        choices=("auto", "mosquitto", "embedded"),
        default="auto",
        help="auto: Mosquitto when it is on the machine, otherwise the embedded one",
    )
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(".pumasi/demo"),
        metavar="DIR",
        help="where the demo's store lies; an earlier demo's is replaced (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # With --json standard output belongs to the summary's reader alone.
    say = _say_on(sys.stderr if arguments.json else sys.stdout)
    street = _street(arguments)
    port = _page_port(arguments.port)
    for number in STOPS:
        signal.signal(number, _interrupt)
    with ExitStack() as stack:
        store = arguments.store.absolute()
        stack.enter_context(sole(store.with_name(f".{store.name}.lock"), "another demo"))
        _make_fresh(store)
        try:
            conductor, broker, link = _start(arguments, street, store, port, say, stack)
            _live(arguments, street, conductor, broker, link, say)
        except (BrokerError, ConductorError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            say("stopping")
    command = sys.argv[0] if Path(sys.argv[0]).name == "pumasi" else "pumasi"
    say("run what was settled again, and check it:")
    for check in ("replay", "audit"):
        say(f"  {command} {check} --store {arguments.store}")
    if arguments.json:
        print(json.dumps(_summary(store, street, port)))
    return 0


def _street(arguments: argparse.Namespace) -> Street:
    """The street the arguments ask for. Raises CommandError for what cannot be."""
    if not 0 <= arguments.speed < math.inf:
        raise CommandError(f"--speed {arguments.speed}: must be seconds, 0 or more")
    if arguments.firmware_homes < 0:
        raise CommandError(f"--firmware-homes {arguments.firmware_homes}: not a number of homes")
    try:
        street = with_homes(load_street(), arguments.homes)
    except ValueError as error:
        raise CommandError(f"--homes {arguments.homes}: {error}") from None
    if not (math.isfinite(arguments.days) and 1 <= round(arguments.days * 86_400 / street.step_s) <= street.steps):
        most = street.steps * street.step_s // 86_400
        raise CommandError(
            f"--days {arguments.days}: must be above 0 and at most {most}, the days of the street's data"
        )
    return street


def _page_port(wanted: int) -> int:
    """A port on loopback that is free now. Raises CommandError when ``wanted`` is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except (OSError, OverflowError) as error:
            raise CommandError(f"--port {wanted}: {error}; --port 0 takes any free one") from None
        return int(probe.getsockname()[1])


def _make_fresh(path: Path) -> None:
    """An empty directory, in the place of an earlier demo's. Raises CommandError for one that holds something else."""
    if path.exists() and any(path.iterdir() if path.is_dir() else [path]):
        if not (path / MARKER).is_file():
            raise CommandError(f"--store {path}: holds something that is no demo's; not touched")
        if path.is_symlink():
            raise CommandError(f"--store {path}: is a link; give the directory itself")
        shutil.rmtree(path)
    make_private_folder(path)
    (path / MARKER).write_text('{"note": "made by pumasi demo, replaced by the next"}\n')
    (path / "logs").mkdir()


def _start(
    arguments: argparse.Namespace, street: Street, store: Path, page: int, say: Callable[[str], None], stack: ExitStack
) -> tuple[Conductor, RunningBroker, str]:
    """Start broker, market, page and meters, and wait until all are there; ``stack`` ends what has been started.

    The third of what it returns is the link that signs the visitor in.
    """
    identities = begin_store(store, street)
    link = f"http://localhost:{page}/invitation/{_open_pages(store, street)}"
    accounts = broker_accounts(identities)
    broker = start_broker(store / "broker", _page_port(0), accounts, COMMUNITY, arguments.broker)
    stack.callback(broker.stop, BROKER_STOP_S)
    children = Children(store / "logs")
    stack.callback(children.end, STOP_S)
    market = start_market(children, store, broker.port, accounts[market_user(COMMUNITY)], GRACE_S)
    pages = ("dashboard", "run", "--store", str(store), "--port", str(page), "--clock", "record")
    dashboard = children.start("dashboard", [*PUMASI, *pages])
    real = len(street.homes) if arguments.fleet == "firmware" else min(arguments.firmware_homes, len(street.homes))
    meters = start_meters(children, store, street, identities, broker.port, real, say)
    say(
        f"{len(street.homes)} homes of {street.grid}, {sum(home.prosumer for home in street.homes)} with panels;"
        f" broker: {broker.kind}, loopback port {broker.port}; store: {store}"
    )
    conductor = Conductor(market, meters, (dashboard,), children.said)
    conductor.begin(street.start, READY_S + 0.05 * len(street.homes))
    _wait_for_page(page, dashboard)
    return conductor, broker, link


def _open_pages(store: Path, street: Street) -> str:
    """Settings and one account for the pages; the token of a link that signs in as often as it is opened.

    It works while this demo runs: the next one begins a store of its own.
    """
    # Imported here so that the other commands start without a web framework.
    from dashboard import settings
    from dashboard.accounts import Accounts, people

    settings.save(store, settings.Settings(carbon=settings.Carbon(*GRID_CARBON)))
    accounts = Accounts(store)
    try:
        first = next((home for home in street.homes if home.prosumer), street.homes[0])
        token = accounts.open_door("Demo", "operator", first.household, DOOR_S)
        # Some neighbours are named, so that there is somebody to prefer or to give to. Nobody can sign in as them: they
        # have neither password nor passkey.
        for home in [home for home in street.homes if home is not first][:NAMED]:
            people.add(accounts.db, home.household, "household", home.household, None, accounts.now())
        for account in accounts.people():
            people.set_shown(accounts.db, account.account, True)
        return token
    finally:
        accounts.close()


def _wait_for_page(port: int, dashboard: Child) -> None:
    """Until the page can be opened. Raises ConductorError."""
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise ConductorError(f"the page is not up within {READY_S:.0f} s; its log is {dashboard.log}")


def _live(
    arguments: argparse.Namespace,
    street: Street,
    conductor: Conductor,
    broker: RunningBroker,
    link: str,
    say: Callable[[str], None],
) -> None:
    """The street's days, one interval after the other."""
    zone = ZoneInfo(street.timezone)
    say(f"open the pages, signed in: {link}")
    say("Ctrl-C ends")
    surplus = next((k for k in range(street.steps) if any(h.generation_w[k] > h.load_w[k] for h in street.homes)), None)
    if surplus is not None:
        first = datetime.fromtimestamp(street.start + surplus * street.step_s, zone)
        say(f"it is midnight; the first roof has something to sell at {first:%H:%M}")
    for step in range(1, round(arguments.days * 86_400 / street.step_s) + 1):
        earliest_s = time.monotonic() + arguments.speed
        if broker.process is None or broker.process.poll() is not None:
            say("the broker has ended; it is started again")
            broker.restart()
        for event in conductor.step(street.start + step * street.step_s, STEP_TIMEOUT_S):
            _tell(event, zone, say)
        time.sleep(max(0.0, earliest_s - time.monotonic()))
    for event in conductor.drain(QUIET_S):
        _tell(event, zone, say)
    if not arguments.exit:
        say(
            "the days are over: no further interval comes, so a changed offer applies to none; what is corrected is"
            f" still settled, and the pages stay until Ctrl-C: {link}"
        )
        while True:
            conductor.again()
            for event in conductor.drain(QUIET_S):
                _tell(event, zone, say)


def _tell(event: dict[str, Any], zone: ZoneInfo, say: Callable[[str], None]) -> None:
    if event["event"] == "gate":
        say(progress_line(event, zone, CURRENCY))
    elif event["event"] == "notice":
        say(event["text"])


def _summary(store: Path, street: Street, page: int) -> dict[str, Any]:
    """What the days came to, from the record."""
    record = Record(store, read_only=True)
    try:
        newest = {gate.start: gate for gate in record.gates()}
        results = [json.loads(record.result(gate.number)) for gate in newest.values()]
        return {
            "homes": len(street.homes),
            "intervals": len(newest),
            "readings": record.reading_count(),
            "energy_traded_wh": sum(row["sold_wh"] for result in results for row in result["households"]),
            "welfare": sum(result["welfare"] for result in results),
            "certificate_gap_max": max((result["certificate"]["gap"] for result in results), default=0),
            "rejected": unusual(record.outcomes()),
            "page": f"http://localhost:{page}",
        }
    finally:
        record.close()


def _say_on(stream: TextIO) -> Callable[[str], None]:
    return lambda text: print(text, file=stream, flush=True)


def _interrupt(*_: object) -> None:
    # A second Ctrl-C must not cut short the end of the children.
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
