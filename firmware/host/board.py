"""A MicroPython board at a serial port, spoken to through mpremote's raw REPL."""

from __future__ import annotations

import ast
import contextlib
import errno
import hashlib
import importlib
import io
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OLDEST = (1, 24)
CHUNK_BYTES = 512
SELF_TEST_S = 180.0
TRIES = 3
REPLY_S = 2.0
"""A prompt answers at once; only what it runs may take longer, and that is waited for otherwise."""
WATCHDOG_MS = 300_000

# Each of these runs on the board; what they print is what they answer.
_ABOUT = """
import os, sys
i = sys.implementation
print(repr((i[0], tuple(i[1])[:2], getattr(i, "_machine", sys.platform), sys.platform)))
"""
# A meter's firmware runs under a hardware watchdog, and nobody feeds it while its files are written.
_HOLD_WATCHDOG = f"""
try:
    import os, machine
    os.stat("stage.py")
    machine.WDT(timeout={WATCHDOG_MS})
except (ImportError, AttributeError, OSError):
    pass
"""
_TREE = """
import os
def walk(path):
    for entry in os.ilistdir(path or "."):
        name = path + entry[0]
        if entry[1] & 0x4000:
            walk(name + "/")
        else:
            print(name)
walk("")
"""
_REMOVE = """
import os
def remove(path):
    try:
        mode = os.stat(path)[0]
    except OSError:
        return
    if mode & 0x4000:
        for entry in list(os.ilistdir(path)):
            remove(path + "/" + entry[0])
        os.rmdir(path)
    else:
        os.remove(path)
remove({path!r})
"""
_RESET = """
try:
    from machine import reset
except ImportError:
    from sys import exit as reset
reset()
"""


class BoardError(Exception):
    """What went wrong, in one line; `advice` says what to do, a line each."""

    def __init__(self, text: str, *advice: str) -> None:
        super().__init__(text)
        self.advice = advice


class Board:
    """A board whose REPL answers. Raises BoardError from every method."""

    def __init__(self, port: str, transport: Any) -> None:
        self.port = port
        self._transport = transport
        name, self.version, self.machine, self.platform = self.ask(_ABOUT)
        if name != "micropython" or tuple(self.version) < OLDEST:
            shown = ".".join(str(part) for part in self.version)
            raise BoardError(
                f"{port}: runs {name} {shown}; the firmware needs MicroPython {OLDEST[0]}.{OLDEST[1]} or newer",
                "give --board esp32, esp32s3 or esp32c3 (or --image FILE), to write a newer one first",
            )

    def run(self, code: str, timeout_s: float = 30.0) -> str:
        """Run code on the board; what it printed."""
        with _told(self.port):
            out, error = self._transport.exec_raw(code, timeout=timeout_s)
        if error:
            raise _complaint(self.port, error.decode(errors="replace"))
        text: str = out.decode(errors="replace")
        return text

    def ask(self, code: str) -> Any:
        """Run code that prints one value, and take that in."""
        said = self.run(code).strip()
        try:
            return ast.literal_eval(said.splitlines()[-1])
        except (ValueError, SyntaxError, IndexError):
            raise BoardError(f"{self.port}: an answer that cannot be read: {said[-80:]!r}") from None

    def hold_watchdog(self) -> None:
        self.run(_HOLD_WATCHDOG)

    def files(self) -> list[str]:
        return self.run(_TREE).split()

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all in it; one that is not there is fine."""
        self.run(_REMOVE.format(path=path))

    def write(self, path: str, content: bytes, progress: Callable[[int], None] = lambda _: None) -> None:
        """Write a file, its folders too, and read its hash back; `progress` is given the bytes written so far."""
        folders = path.split("/")[:-1]
        for depth in range(len(folders)):
            folder = "/".join(folders[: depth + 1])
            self.run(f"import os\ntry:\n os.mkdir({folder!r})\nexcept OSError:\n pass")
        with _told(self.port):
            self._transport.fs_writefile(path, content, CHUNK_BYTES, lambda written, _: progress(written))
            digest = self._transport.fs_hashfile(path, "sha256")
        if digest != hashlib.sha256(content).digest():
            raise BoardError(f"{self.port}: {path} reads back differently", "try again; a worn flash does this too")

    def read(self, path: str) -> bytes | None:
        """A file's content; None when it is not there."""
        with _told(self.port):
            return bytes(self._transport.fs_readfile(path)) if self._transport.fs_exists(path) else None

    def self_test(self) -> dict[str, Any]:
        """What the meter says of itself: one line of JSON from the firmware's own self-test."""
        return self._said("selftest", "selftest.main()", "checks", "the self-test")

    def calibrate(
        self, phase: int, voltage_mv: int, current_ma: int, power_mw: int | None, inductive: bool
    ) -> dict[str, Any]:
        """Have the meter compare its chip with a reference and keep the gains; what calibrate.main of it says."""
        call = f"calibrate.main({phase}, {voltage_mv}, {current_ma}, {power_mw}, {inductive})"
        said = self._said("calibrate", call, "", "calibrating")
        if "problem" in said:
            raise BoardError(f"{self.port}: {said['problem']}")
        return said

    def _said(self, module: str, call: str, member: str, what: str) -> dict[str, Any]:
        """The last line of JSON that the firmware prints, with ``member`` in it."""
        out = self.run(f"import stage\nstage.enter()\nimport {module}\n{call}", SELF_TEST_S)
        for line in reversed(out.splitlines()):
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict) and (not member or member in said):
                    return said
        raise BoardError(f"{self.port}: {what} ended without a result: {out.strip()[-120:]!r}")

    def reset(self) -> None:
        """Start the board anew; it does not answer this."""
        with _told(self.port):
            self._transport.exec_raw_no_follow(_RESET)


@contextlib.contextmanager
def connected(port: str, wait_s: float = 0.0) -> Iterator[Board]:
    """The board at a serial port, its program interrupted. Raises BoardError with advice.

    wait_s: how long to go on trying, for a board that has just been written and formats its flash first.
    """
    check_port(port)
    serial_transport = optional("mpremote.transport_serial").SerialTransport
    with _told(port):
        transport = serial_transport(port, baudrate=115_200, timeout=REPLY_S)
    try:
        deadline_s = time.monotonic() + wait_s
        for attempt in range(1000):
            try:
                # mpremote prints what it could not read
                with contextlib.redirect_stdout(io.StringIO()), _told(port):
                    transport.enter_raw_repl(soft_reset=False, timeout_overall=3)
                break
            except BoardError:
                if attempt + 1 >= TRIES and time.monotonic() > deadline_s:
                    raise BoardError(
                        f"{port}: does not answer as MicroPython",
                        "is MicroPython on the board? --board esp32, esp32s3 or esp32c3 (or --image FILE) writes it",
                        "is it the right port? " + ports_text(),
                        "press the board's RESET (EN) button and try again at once",
                    ) from None
        yield Board(port, transport)
    finally:
        with contextlib.suppress(OSError):
            transport.close()
        with contextlib.suppress(OSError):
            transport.serial.close()  # left open where the port has no control lines


def check_port(port: str) -> None:
    """Raises BoardError, with advice, for a serial port that cannot be used."""
    if "://" in port or os.name == "nt":
        return
    path = Path(port)
    if not path.exists():
        raise BoardError(
            f"{port}: there is no such port",
            "plug the board in with a cable that carries data, not only power",
            ports_text(),
        )
    if not stat.S_ISCHR(path.stat().st_mode):
        raise BoardError(f"{port}: is no serial port", ports_text())
    if not os.access(path, os.R_OK | os.W_OK):
        raise _not_permitted(port)


def _not_permitted(port: str) -> BoardError:
    import grp

    try:
        group = grp.getgrgid(Path(port).stat().st_gid).gr_name
    except (KeyError, OSError):
        group = "dialout"
    return BoardError(
        f"{port}: you may not use this port",
        f"join the group it belongs to, then log out and in again: sudo usermod -aG {group} $USER",
    )


def _busy(port: str) -> BoardError:
    return BoardError(
        f"{port}: is used by another program", "close the serial monitor, IDE or other pumasi that has it open"
    )


def ports_text() -> str:
    """The serial ports of this computer, as a line."""
    found = [port.device for port in optional("serial.tools.list_ports").comports()]
    usb = [name for name in found if "USB" in name or "ACM" in name or "usb" in name]
    return f"serial ports here: {', '.join(usb or found)}" if found else "this computer sees no serial port"


def optional(module: str) -> Any:
    """A module of the extra `flash`. Raises BoardError when it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.split(".")[0]
        raise BoardError(
            f"flashing needs {name}, which is not installed", "in Pumasi's folder: .venv/bin/pip install -e '.[flash]'"
        ) from None


@contextlib.contextmanager
def _told(port: str) -> Iterator[None]:
    """The transport's and the system's faults as a BoardError."""
    transport = optional("mpremote.transport")
    try:
        yield
    except transport.TransportExecError as error:
        raise _complaint(port, error.error_output) from None
    except transport.TransportError as error:
        if "failed to access" in str(error):
            raise _refused(port) from None
        raise BoardError(f"{port}: {error}", "unplug the board, plug it in again and try once more") from None
    except OSError as error:
        raise _refused(port, error) from None


def _refused(port: str, error: OSError | None = None) -> BoardError:
    """Why a port cannot be used, found by trying once more."""
    if error is None:
        serial = optional("serial")
        try:
            serial.serial_for_url(port, exclusive=True, timeout=0).close()
        except OSError as again:
            error = again
    if error is not None and (error.errno == errno.EACCES or "ermission" in str(error)):
        return _not_permitted(port)
    if error is not None and (error.errno in (errno.EBUSY, errno.EAGAIN) or "lock" in str(error)):
        return _busy(port)
    return BoardError(
        f"{port}: the connection broke ({error.strerror or error})" if error else f"{port}: the connection broke",
        "unplug the board, plug it in again and try once more; a short cable straight to the computer helps",
    )


def _complaint(port: str, traceback: str) -> BoardError:
    """What the board's last exception was."""
    last = (traceback.strip().splitlines() or ["nothing"])[-1]
    advice: tuple[str, ...] = ()
    if "ENOSPC" in last or last == "OSError: 28":
        advice = ("the board's flash is full: write the image again with --board, which erases it",)
    elif "incompatible .mpy" in last:
        advice = ("its MicroPython cannot read the compiled firmware: write a newer one with --board",)
    elif "MemoryError" in last:
        advice = ("press RESET and try again",)
    return BoardError(f"{port}: the board says: {last}", *advice)
