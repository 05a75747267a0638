"""``pumasi fleet``: simulated meters without hardware, and faults on demand."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any

from broker.run import BrokerError
from firmware.host.account import Account, lines
from firmware.host.conductor import ConductorError
from firmware.host.faults import Faults, Plan, plan
from firmware.host.street import Street
from market.commands.errors import CommandError
from market.commands.fleet_run import Ended, run_fleet
from market.commands.homes import homes_street
from market.files import InputError
from market.record.lock import sole

MARKER = "fleet.json"
DESCRIPTION = """\
Simulated meters live a real grid's week and send what they measure to a market; faults befall them on demand.
In the end stands the account: intervals expected, stored, lost and twice, and the energy at the meters beside
the energy in the record.

Without --broker everything is started here, in lock step: broker, market and meters over --store, which is
made new; the next interval begins when the gate of the last has closed. With --broker HOST:PORT the meters
of the community in --store send to a broker and a market that run already, in real time, until Ctrl-C or
until --days are over.
"""
EPILOG = """\
Exit status: 0 the account balances, 1 it does not, 2 the input cannot be used.

examples:
  pumasi fleet --homes 100 --days 1
  pumasi fleet --homes 20 --real --days 1 --loss 0.05 --outage 4 --power-cuts 20
  pumasi fleet --homes 50 --grid 1-LV-semiurb4--2-sw --forgers 3 --reversed-ct 2 --clock-drift 200
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "fleet",
        help="simulated meters without hardware, with faults on demand",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--homes", type=int, default=12, metavar="N", help="how many homes (default: %(default)s)")
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--grid", metavar="CODE", help="homes of a SimBench grid (default: a street of it, in summer)")
    data.add_argument("--csv", type=Path, metavar="FILE", help="your own meters, as for pumasi backtest --meters")
    parser.add_argument("--from", dest="first", type=_day, metavar="DATE", help="the day their week begins with")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--real", action="store_true", help="every meter runs the firmware in a process of its own")
    kind.add_argument("--light", action="store_true", help="one process for all, the same contract (the default)")
    parser.add_argument("--days", type=float, metavar="D", help="how long to run (default: 1; with --broker: no end)")
    parser.add_argument(
        "--speed",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="least wall time per interval (default: %(default)s)",
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long a gate waits for meters that have not been heard (default: %(default)s)",
    )
    parser.add_argument("--broker", metavar="HOST:PORT", help="send to a broker that runs already, in real time")
    parser.add_argument(
        "--store",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="where the record lies (default: .pumasi/fleet; with --broker: PUMASI_STORE)",
    )
    parser.add_argument("--json", action="store_true", help="the last line of standard output is a JSON summary")
    faults = parser.add_argument_group("faults")
    faults.add_argument("--loss", type=float, default=0.0, metavar="P", help="lose packets with this probability")
    faults.add_argument("--outage", type=int, default=0, metavar="N", help="the broker is away N times, for a while")
    faults.add_argument("--power-cuts", type=int, default=0, metavar="N", help="cut the power of a meter N times")
    faults.add_argument(
        "--clock-drift", type=int, default=0, metavar="PPM", help="clocks run fast or slow by up to this much"
    )
    faults.add_argument(
        "--reversed-ct", type=int, default=0, metavar="M", help="M meters have their current transformer reversed"
    )
    faults.add_argument(
        "--forgers", type=int, default=0, metavar="N", help="N attackers forge, replay and write others' topics"
    )
    faults.add_argument("--seed", type=int, default=0, metavar="S", help="draw other faults (default: %(default)s)")
    parser.set_defaults(run=run)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2016-07-11") from None


def _store(live: bool) -> Path:
    """Where no --store is given. A community's store is never what a fleet in lock step begins anew."""
    if not live:
        return Path(".pumasi/fleet")
    store = os.environ.get("PUMASI_STORE")
    if store is None:
        raise CommandError("which store? give --store DIR or set PUMASI_STORE")
    return Path(store)


def run(arguments: argparse.Namespace) -> int:
    if "store" not in arguments:
        arguments.store = _store(arguments.broker is not None)
    faults = _faults(arguments)
    try:
        street = homes_street(arguments.homes, arguments.grid, arguments.csv, arguments.first)
    except InputError as error:
        raise CommandError(str(error)) from None
    out = sys.stderr if arguments.json else sys.stdout
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        if arguments.broker is not None:
            from market.commands.fleet_live import run_live

            ended = run_live(arguments, faults, street, out)
        else:
            ended = _lock_step(arguments, faults, street, out)
    except (BrokerError, ConductorError) as error:
        raise CommandError(str(error)) from None
    print("what was injected:", file=out)
    for name, count in ended.injected.items():
        print(f"  {name:<40}{count:>8,}", file=out)
    if not ended.injected:
        print("  nothing", file=out)
    print("\n".join(lines(ended.account, ended.outcomes.get("duplicate", 0))), file=out)
    print("what the market made of the messages:", file=out)
    for name, count in ended.outcomes.items():
        print(f"  {name:<40}{count:>8,}", file=out)
    print("the account balances" if ended.account.balanced else "THE ACCOUNT DOES NOT BALANCE", file=out)
    if arguments.json:
        print(json.dumps(_summary(ended)))
    return 0 if ended.account.balanced else 1


def _faults(arguments: argparse.Namespace) -> Faults:
    if not 0 <= arguments.loss < 0.5:
        raise CommandError(f"--loss {arguments.loss}: a probability from 0 to below 0.5")
    for name in ("speed", "grace"):
        if not 0 <= getattr(arguments, name) < math.inf:
            raise CommandError(f"--{name} {getattr(arguments, name)}: seconds, 0 or more")
    for name in ("outage", "power_cuts", "clock_drift", "reversed_ct", "forgers"):
        if getattr(arguments, name) < 0:
            raise CommandError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: must not be negative")
    if arguments.clock_drift > 10_000:
        raise CommandError(f"--clock-drift {arguments.clock_drift}: at most 10000 ppm; a quartz has 100")
    return Faults(
        loss=arguments.loss,
        outages=arguments.outage,
        clock_drift_ppm=arguments.clock_drift,
        power_cuts=arguments.power_cuts,
        reversed_ct=arguments.reversed_ct,
        forgers=arguments.forgers,
        seed=arguments.seed,
    )


def _lock_step(arguments: argparse.Namespace, faults: Faults, street: Street, out: Any) -> Ended:
    steps = steps_of(1.0 if arguments.days is None else arguments.days, street)
    if steps > street.steps:
        raise CommandError(f"--days {arguments.days}: the homes' data have {street.steps * street.step_s / 86_400:g}")
    planned = plan_of(faults, street, steps)
    store = arguments.store.absolute()
    with sole(store.with_name(f".{store.name}.lock"), "another fleet"):
        return run_fleet(
            store,
            street,
            steps,
            faults,
            planned,
            real=arguments.real,
            speed_s=arguments.speed,
            grace_s=arguments.grace,
            marker=MARKER,
            say=lambda text: print(text, file=out, flush=True),
        )


def steps_of(days: float, street: Street) -> int:
    """How many intervals the days are. Raises CommandError."""
    steps = round(days * 86_400 / street.step_s) if math.isfinite(days) else 0
    if steps < 1:
        raise CommandError(f"--days {days}: not a time")
    return steps


def plan_of(faults: Faults, street: Street, steps: int) -> Plan:
    try:
        return plan(faults, [home.meter for home in street.homes], steps)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _summary(ended: Ended) -> dict[str, Any]:
    account: Account = ended.account
    return {
        "meters": account.meters,
        "expected": account.expected,
        "stored": account.stored - account.duplicates,
        "lost": account.lost,
        "twice": account.duplicates,
        "at_meters_wh": account.at_meters_wh,
        "in_record_wh": account.in_record_wh,
        "injected": ended.injected,
        "outcomes": ended.outcomes,
        "balanced": account.balanced,
    }


def _interrupt(*_: object) -> None:
    # A second Ctrl-C must not cut short the end of the children.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
