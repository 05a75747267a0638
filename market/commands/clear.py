"""``pumasi clear`` and ``pumasi verify``: a book from files, without a broker."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from market.commands.errors import CommandError
from market.files import MECHANISMS, InputError, clear_files, verify_files


def add(commands: Any) -> None:
    text = "clear orders.csv over network.csv and write result.json with its certificate"
    parser = commands.add_parser(
        "clear",
        help=text,
        description=text.capitalize() + ".",
        epilog="orders.csv: order,household,node,side,price_per_kwh,energy_wh (side: sell or buy). "
        "network.csv: node,parent,limit_wh,fee_per_kwh (the root's parent is empty; an empty limit is none).",
    )
    parser.add_argument("--orders", type=Path, required=True, metavar="CSV")
    parser.add_argument("--network", type=Path, required=True, metavar="CSV")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON")
    parser.add_argument(
        "--mechanism",
        default="nodal",
        metavar="NAME",
        help=f"who pays what: {', '.join(MECHANISMS)} (default: %(default)s)",
    )
    parser.add_argument("--retail", metavar="PRICE", help="reference retail price per kWh, for rules that need one")
    parser.add_argument("--feed-in", metavar="PRICE", help="reference feed-in price per kWh, for rules that need one")
    parser.set_defaults(run=run_clear)
    text = "recompute the certificate of a result.json from its orders and network"
    parser = commands.add_parser(
        "verify", help=text, description=f"{text.capitalize()}; OK, or everything that is wrong with it."
    )
    parser.add_argument("result", type=Path, metavar="RESULT")
    parser.add_argument("--orders", type=Path, required=True, metavar="CSV")
    parser.add_argument("--network", type=Path, required=True, metavar="CSV")
    parser.set_defaults(run=run_verify)


def run_clear(arguments: argparse.Namespace) -> int:
    try:
        outcome = clear_files(
            arguments.orders,
            arguments.network,
            arguments.out,
            arguments.mechanism,
            retail=arguments.retail,
            feed_in=arguments.feed_in,
        )
    except InputError as error:
        raise CommandError(str(error)) from None
    traded_wh = int(outcome.accepted_wh.sum()) // 2
    print(f"{arguments.out}: {outcome.mechanism}, {traded_wh:,} Wh traded; `pumasi verify` checks it")
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    try:
        violations = verify_files(arguments.result, arguments.orders, arguments.network)
    except InputError as error:
        raise CommandError(str(error)) from None
    for violation in violations:
        print(f"verify: {violation.name}: {violation.reason}")
    if violations:
        return 1
    print(
        "verify: OK: the result is feasible, its money sums to zero and follows its mechanism's rule,"
        " and the certificate proves that what this mechanism clears is cleared optimally"
    )
    return 0
