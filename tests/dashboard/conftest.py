"""The street as fixtures: settled up to the afternoon of its second day."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from market.series import EmbeddedSeries
from tests.dashboard.street import Street

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def series(tmp_path: Path) -> Iterator[EmbeddedSeries]:
    series = EmbeddedSeries(tmp_path / "series.sqlite")
    yield series
    series.close()


@pytest.fixture
def street(series: EmbeddedSeries) -> Street:
    street = Street()
    street.settle(series, 96 + 57)
    return street


@pytest.fixture
def client(street: Street, series: EmbeddedSeries) -> Iterator[TestClient]:
    with TestClient(create_app(street, series)) as client:
        yield client


@dataclass
class Served:
    """The dashboard as a process of its own."""

    process: subprocess.Popen[str]
    address: str

    @property
    def host(self) -> str:
        return self.address.removeprefix("http://")

    def settle(self) -> None:
        """One more interval."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.dashboard.street", str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.startswith("http://"), process.communicate(timeout=10)
    yield Served(process, address)
    process.kill()
    process.communicate(timeout=10)
