"""What a fleet's meters show in the end, and the account of it against what the market has stored."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware.host.fleet import DEVICE

READ_S = 30.0
REGISTERS = ("import", "export", "generation", "consumption")

Registers = tuple[int, int, int, int]

# Runs in MicroPython with the flash as working directory: the firmware's own reader, so that only it knows the layout.
_READ_FLASH = """
import json, sys
sys.path.insert(0, sys.argv[1])
from outbox import Outbox
box = Outbox("outbox")
last = box.last
shown = [0, 0, 0, 0] if last is None else [value // 1000 for value in last.registers]
print(json.dumps({"outbox": box.id, "closed": box.next_seq, "registers_wh": shown}))
"""


@dataclass(frozen=True)
class Shown:
    """A meter at the end: its outbox, how many intervals it has closed, and its registers [Wh]."""

    meter: str
    outbox: str
    closed: int
    registers_wh: Registers


@dataclass(frozen=True)
class Stored:
    """What the market has of a meter: rows, rows of intervals that another row has too, and its newest registers."""

    rows: int
    duplicates: int
    registers_wh: Registers


@dataclass(frozen=True)
class Account:
    """A fleet's run in numbers; energies [Wh] are sums over all meters."""

    meters: int
    expected: int
    closed: int
    stored: int
    duplicates: int
    at_meters_wh: Registers
    in_record_wh: Registers

    @property
    def lost(self) -> int:
        return self.expected - (self.stored - self.duplicates)

    @property
    def complete(self) -> bool:
        return self.lost <= 0

    @property
    def balanced(self) -> bool:
        """Nothing lost, nothing twice, and the same energy on both sides."""
        return self.lost == self.duplicates == 0 and self.at_meters_wh == self.in_record_wh


def read_flash(micropython: Path, flash: Path, meter: str) -> Shown:
    """What a real meter's flash holds, read by the firmware from a copy: the meter may go on writing to it.

    Raises OSError when it cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(flash / "outbox", Path(folder) / "outbox")
        script = Path(folder) / "read.py"
        script.write_text(_READ_FLASH)
        command = [str(micropython), script.name, str(DEVICE)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=READ_S)
    if done.returncode != 0:
        raise OSError(f"{flash}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    said = json.loads(done.stdout)
    return Shown(meter, said["outbox"], said["closed"], tuple(said["registers_wh"]))


def make_account(expected: int, shown: Iterable[Shown], stored: Mapping[str, Stored]) -> Account:
    """expected: meters times intervals; stored: by meter."""
    shown = list(shown)
    none = Stored(0, 0, (0, 0, 0, 0))
    kept = [stored.get(meter.meter, none) for meter in shown]
    return Account(
        meters=len(shown),
        expected=expected,
        closed=sum(meter.closed for meter in shown),
        stored=sum(meter.rows for meter in kept),
        duplicates=sum(meter.duplicates for meter in kept),
        at_meters_wh=_total(meter.registers_wh for meter in shown),
        in_record_wh=_total(meter.registers_wh for meter in kept),
    )


def _total(registers: Iterable[Registers]) -> Registers:
    rows = list(registers)
    return (sum(r[0] for r in rows), sum(r[1] for r in rows), sum(r[2] for r in rows), sum(r[3] for r in rows))


def lines(account: Account, received_again: int) -> list[str]:
    """The account as a table; received_again: readings that came more than once and were recognised."""
    rows = [
        ("meters", account.meters),
        ("intervals expected", account.expected),
        ("closed by the meters", account.closed),
        ("stored", account.stored - account.duplicates),
        ("lost", account.lost),
        ("stored twice", account.duplicates),
        ("received again, recognised", received_again),
    ]
    text = [f"{name:<28}{value:>14,}" for name, value in rows]
    text.append(f"{'energy [Wh]':<28}{'at the meters':>14}{'in the record':>16}{'difference':>12}")
    for name, here, there in zip(REGISTERS, account.at_meters_wh, account.in_record_wh, strict=True):
        text.append(f"  {name:<26}{here:>14,}{there:>16,}{here - there:>12,}")
    return text
