"""The big run: real firmware under outages, power cuts and packet loss, and the account of it.

    python -m benchmarks.soak [--homes 200] [--days 2] [--outage 20] [--power-cuts 200] [--loss 0.05] [--grace 3]

Every meter is a MicroPython process with the firmware on it. Takes a quarter of an hour and more; exit status 1 when
a reading or a watt-hour is missing. ``pumasi fleet --help`` says what the faults are.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from market.commands import main as pumasi


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("homes", "200"), ("days", "2"), ("outage", "20"), ("power-cuts", "200"), ("forgers", "1")):
        parser.add_argument(f"--{name}", default=value)
    parser.add_argument("--loss", default="0.05")
    parser.add_argument("--grace", default="3")
    parser.add_argument("--seed", default="0")
    arguments = vars(parser.parse_args())
    options = [text for name, value in arguments.items() for text in (f"--{name.replace('_', '-')}", value)]
    with tempfile.TemporaryDirectory() as folder:
        return pumasi(["fleet", "--real", "--store", str(Path(folder) / "store"), *options])


if __name__ == "__main__":
    sys.exit(main())
