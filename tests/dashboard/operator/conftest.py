"""An operator's day: a real record with a late reading, a correction, refused messages, and meters' health."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from dashboard.accounts import Accounts
from dashboard.app import create_app
from dashboard.stored import StoredRecord
from market.record import Record
from market.series import EmbeddedSeries
from market.series.position import read_position
from market.service.projection import rebuild
from tests.dashboard.signed import People
from tests.market.settled import settle_street

SINCE = 1_468_229_400
"""The start of the first interval of the settled street."""


@pytest.fixture(scope="session")
def eventful_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve homes, six intervals, three of them revised. Not to be changed."""
    store = tmp_path_factory.mktemp("eventful")
    settle_street(store, eventful=True)
    record = Record(store)
    healthy = {"v": 1, "online": True, "firmware": "0.10.0", "rssi": -61, "outbox": 1, "clock_error_ms": -40}
    said = {f"m{i:03d}": (True, json.dumps(healthy)) for i in range(1, 10)}
    said["m002"] = (True, json.dumps({**healthy, "firmware": "0.9.0"}))
    said["m003"] = (False, json.dumps(healthy))
    said["m004"] = (True, json.dumps({**healthy, "clock_error_ms": 4100, "outbox": 140, "sensors": {"grid": "ok"}}))
    with record.transaction():
        record.store_statuses(said, SINCE + 6 * 900)
    series = EmbeddedSeries(store / "series.sqlite")
    rebuild(record, store, series, "embedded", lambda done, total: None)
    series.close()
    record.close()
    return store


@pytest.fixture(scope="module")
def day(eventful_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Everybody who might come; the record is shared, so nothing may be stored in it."""
    yield from people(eventful_store, tmp_path_factory.mktemp("accounts"))


@pytest.fixture
def own_store(eventful_store: Path, tmp_path: Path) -> Path:
    """A copy that the test may change."""
    shutil.copytree(eventful_store, tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def own_day(own_store: Path) -> Iterator[People]:
    yield from people(own_store, own_store)


def people(store: Path, folder: Path, now: int = SINCE + 6 * 900) -> Generator[People, None, None]:
    series, accounts = EmbeddedSeries(store / "series.sqlite"), Accounts(folder)
    stored = StoredRecord(store, lambda: read_position(store, "embedded"))
    app = create_app(stored, series, accounts, store=store, clock=lambda: now)
    yield People(app)
    accounts.close()
    series.close()
