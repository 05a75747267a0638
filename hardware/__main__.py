"""Makes the board's files from its source, and checks them: `python -m hardware --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hardware import cost, error_budget, kicad, wiring
from hardware.board import outputs
from hardware.board.router import RoutingError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m hardware", description=__doc__)
    parser.add_argument(
        "--get-kicad", action="store_true", help="unpack KiCad 9 from Debian's packages into .parts if it is not here"
    )
    parser.add_argument(
        "--check", action="store_true", help="replace nothing: say whether what is committed comes out again"
    )
    chosen = parser.parse_args(arguments)
    try:
        found = kicad.get(outputs.models()) if chosen.get_kicad else kicad.find()
        if found is None:
            print(
                "KiCad 9 is not here; make hardware ARGS=--get-kicad unpacks it (430 MB of packages)", file=sys.stderr
            )
            return 2
        with tempfile.TemporaryDirectory(prefix="pumasi-board-") as scratch:
            target = outputs.HARDWARE
            if chosen.check:
                target = Path(scratch) / "made"
                target.mkdir()
            work = Path(scratch) / "work"
            work.mkdir()
            outputs.make(found, target, work, lambda line: print(line, flush=True))
            if chosen.check:
                different = list(outputs.differences(outputs.HARDWARE, target))
                for path in different:
                    print(f"hardware/{path}: does not come out of the source", file=sys.stderr)
                return 1 if different else 0
        for page in (cost, error_budget, wiring):
            page.FILE.write_text(page.document(), encoding="utf-8")
        _enclosure()
    except (kicad.KicadError, outputs.CheckError, RoutingError) as error:
        print(f"hardware: {error}", file=sys.stderr)
        return 1
    print("ERC and DRC: 0 violations; hardware/pumasi-s3 and hardware/output are written")
    return 0


def _enclosure() -> None:
    try:
        from hardware.enclosure.__main__ import write
    except ModuleNotFoundError as error:
        print(f"the enclosure stays as it is: {error.name} is not installed (pip install -e '.[hardware]')")
        return
    write()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
