"""A board without a board: MicroPython's unix port behind a pseudo-terminal that stands for the serial port.

The unix port speaks the same raw REPL as a board (checked with 1.29-preview: raw mode, raw paste, Ctrl-C, Ctrl-D), so
mpremote talks to the real interpreter and the real file system calls. Like a board it starts `main.py` first, gives the
prompt when that is interrupted, and starts anew when it is reset, which here means that the process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import threading
import tty
from pathlib import Path

from tests.firmware.host.rom_loader import RomLoader

HEAP = "heapsize=400000"


class PtyBoard:
    """`port` is the serial port's path, `flash` the folder that is the board's file system.

    With a `loader` the board is in boot mode first, until an image has been written and somebody speaks as to a REPL.
    """

    def __init__(self, micropython: Path, flash: Path, loader: RomLoader | None = None) -> None:
        self.flash = flash
        self.boots = 0
        self._micropython = micropython
        self._loader = loader
        self._outer, self._port_end = pty.openpty()
        tty.setraw(self._port_end)
        self.port = os.ttyname(self._port_end)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join(10)
        for end in (self._outer, self._port_end):
            os.close(end)

    def _live(self) -> None:
        if self._loader is not None:
            self._loader.serve(self._outer, self._ending)
        while not self._ending.is_set():
            self._boot()

    def _boot(self) -> None:
        inner, terminal = pty.openpty()
        # Raw, but for Ctrl-C: that interrupts a running program, as it does over a serial line.
        tty.setraw(terminal)
        mode = termios.tcgetattr(terminal)
        mode[3] |= termios.ISIG
        termios.tcsetattr(terminal, termios.TCSANOW, mode)
        command = [str(self._micropython), "-X", HEAP]
        if (self.flash / "main.py").exists():
            command += ["-i", "main.py"]

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            command,
            cwd=self.flash,
            env={**os.environ, "MICROPYPATH": ".frozen"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            preexec_fn=own_terminal,
        )
        os.close(terminal)
        self.boots += 1
        try:
            self._bridge(inner)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
            os.close(inner)

    def _bridge(self, inner: int) -> None:
        """Bytes from the one terminal to the other, until the interpreter ends."""
        while not self._ending.is_set():
            ready, _, _ = select.select([inner, self._outer], [], [], 0.1)
            try:
                if inner in ready:
                    data = os.read(inner, 4096)
                    if not data:
                        return
                    os.write(self._outer, data)
                if self._outer in ready:
                    os.write(inner, os.read(self._outer, 256))
            except OSError:  # EIO: nobody holds the other side any more
                return
