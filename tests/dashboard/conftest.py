"""Two communities for the pages: a street in memory, settled up to the afternoon of its second day, and a real record.

``people`` (``.household("h001")``, ``.operator()``, ``.auditor()``, ``.anonymous()``, ``.token(…)``) come to the street
in memory, ``settled_people`` to the record of tests.market.settled, which nobody may change, ``fresh_people`` to a copy
of it that a test may change.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import playwright.sync_api as playwright
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from dashboard.accounts import Accounts, ByCommand, passwords
from dashboard.accounts.people import Role
from dashboard.app import create_app
from dashboard.stored import StoredRecord
from market.record import Record
from market.series import EmbeddedSeries
from market.series.position import read_position
from market.service.projection import rebuild
from tests.dashboard.signed import Browser, People
from tests.dashboard.street import Street
from tests.market.settled import settle_street
from tests.parts import CHROMIUM_ARGUMENTS

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


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords hashed a thousand times faster than they should be."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    monkeypatch.setattr(passwords, "_NOBODY", hasher.hash("a password that nobody has"))


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    accounts = Accounts(tmp_path)
    yield accounts
    accounts.close()


@pytest.fixture
def make_app(series: EmbeddedSeries, accounts: Accounts, tmp_path: Path) -> Callable[..., FastAPI]:
    """An app over a record in memory; keywords as of create_app."""

    def make(record: Street, **options: object) -> FastAPI:
        return create_app(record, **{"series": series, "accounts": accounts, "store": tmp_path, **options})  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Everybody who might come to a street in memory."""
    folder = tmp_path_factory.mktemp("street")
    series, accounts, street = EmbeddedSeries(folder / "series.sqlite"), Accounts(folder), Street()
    street.settle(series, 96 + 57)
    yield People(create_app(street, series, accounts, store=folder))
    accounts.close()
    series.close()


@pytest.fixture(scope="module")
def client_of(people: People) -> Callable[[str], Browser]:
    return people.household


@pytest.fixture(scope="module")
def anonymous(people: People) -> Browser:
    return people.anonymous()


@pytest.fixture(scope="session")
def settled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a real record of twelve homes, six intervals from late morning, and its series; read only."""
    store = tmp_path_factory.mktemp("settled")
    settle_street(store)
    series = EmbeddedSeries(store / "series.sqlite")
    record = Record(store, read_only=True)
    rebuild(record, store, series, "embedded", lambda done, total: None)
    record.close()
    series.close()
    return store


@pytest.fixture(scope="module")
def settled_people(settled_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    yield from people_of(settled_store, tmp_path_factory.mktemp("accounts"))


@pytest.fixture
def fresh_people(settled_store: Path, tmp_path: Path) -> Iterator[People]:
    """The same on a copy: a test may store offers, corrections, bills."""
    shutil.copytree(settled_store, tmp_path / "store")
    yield from people_of(tmp_path / "store", tmp_path / "store")


def people_of(store: Path, folder: Path) -> Iterator[People]:
    series = EmbeddedSeries(store / "series.sqlite")
    accounts = Accounts(folder)
    record = Record(store, read_only=True)
    last = record.last_gate()
    record.close()
    assert last is not None
    stored = StoredRecord(store, lambda: read_position(store, "embedded"))
    yield People(create_app(stored, series, accounts, store=store, clock=lambda: last.start + last.length))
    accounts.close()
    series.close()


@dataclass
class Pages:
    """`pumasi dashboard run` over a real record, in a process of its own."""

    store: Path
    process: subprocess.Popen[str]
    address: str
    links: int = 0

    def link(self, role: Role, household: str | None = None, language: str | None = None) -> str:
        """A link that signs a browser in as somebody new."""
        self.links += 1
        accounts = Accounts(self.store)
        try:
            token = accounts.open_door(f"{role} {self.links}", role, household, 3600)
            if language is not None:
                accounts.db.write("UPDATE account SET language = ? WHERE name = ?", (language, f"{role} {self.links}"))
        finally:
            accounts.close()
        return f"{self.address}/invitation/{token}"

    def invitation(self, role: Role, household: str | None = None) -> str:
        """An invitation's link."""
        accounts = Accounts(self.store)
        try:
            return f"{self.address}/invitation/{accounts.invite(role, household, ByCommand('tests'))}"
        finally:
            accounts.close()

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=10)


def start_pages(settled_store: Path, store: Path) -> Pages:
    shutil.copytree(settled_store, store)
    command = [sys.executable, "-m", "market.commands", "dashboard", "run", "--store", str(store), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--clock", "record"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    found = re.search(r"http\S+", process.stdout.readline())
    assert found is not None, process.communicate(timeout=10)
    return Pages(store, process, found[0])


@pytest.fixture(scope="module")
def pages(settled_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    pages = start_pages(settled_store, tmp_path_factory.mktemp("pages") / "store")
    yield pages
    pages.end()


@pytest.fixture(scope="module")
def browser(chromium_path: Path) -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium_path, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Served:
    """The dashboard as a process of its own."""

    process: subprocess.Popen[str]
    address: str
    session: str
    """The operator's session, who lives in h003."""

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
    address, _, session = process.stdout.readline().strip().partition(" ")
    assert address.startswith("http://"), process.communicate(timeout=10)
    yield Served(process, address, session)
    process.kill()
    process.communicate(timeout=10)
