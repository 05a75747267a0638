"""A demo that runs beside the test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from firmware.host.fleet import unix_port

PUMASI = [sys.executable, "-m", "market.commands"]


@pytest.fixture(scope="session")
def needs_firmware() -> None:
    if unix_port() is None:
        reason = "the MicroPython unix port is not installed (pip install '.[meters]')"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


class Running:
    """A demo that goes on until it is told to stop."""

    def __init__(self, store: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*PUMASI, "demo", "--store", str(store), "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def until(self, pattern: str, times: int = 1) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if re.search(pattern, line):
                times -= 1
                if not times:
                    return line
        raise AssertionError("".join(self.lines[-20:]))

    def child(self, part: str) -> psutil.Process:
        """The market, the broker, or a meter by its id."""
        for child in psutil.Process(self.process.pid).children():
            words = child.cmdline()
            if part in words or child.cwd().endswith(f"/{part}") or (part == "mosquitto" and part in words[0]):
                return child
        raise AssertionError(f"no {part}")

    def rest(self) -> str:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)
        self.process.wait(10)
        return "".join(self.lines)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(*arguments: str) -> Running:
        running = Running(tmp_path / "store", *arguments)
        started.append(running)
        return running

    yield begin
    for running in started:
        for process in (
            psutil.Process(running.process.pid).children(recursive=True) if running.process.poll() is None else ()
        ):
            process.kill()
        running.process.kill()
        running.process.wait()
        assert running.process.stdout is not None
        running.process.stdout.close()
