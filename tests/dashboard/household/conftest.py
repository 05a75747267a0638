"""A small street in Korea with two settled months: May is closed and billed, June is not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.accounts import Accounts
from dashboard.app import create_app
from dashboard.settings import Carbon, Settings
from dashboard.stored import StoredRecord
from market.record import Record
from market.series import EmbeddedSeries
from market.series.position import read_position
from market.service import months
from market.service.projection import rebuild
from tests.dashboard.conftest import people_of
from tests.dashboard.signed import People
from tests.market.billed import JUNE, MAY, ZONE, settle_months
from tests.market.settled import settle_street

OFFERS: dict[str, Any] = {
    "h001": {"prefer": ["h002", "h004"], "give": ["h003"]},
    "h004": {"give": ["h002", "h003"]},
    "h007": {"prefer": ["h006"], "max_buy_per_kwh": "0.30"},
}


@pytest.fixture(scope="session")
def billed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    store = tmp_path_factory.mktemp("billed")
    settle_months(store)
    record = Record(store)
    months.close(record, MAY, JUNE.end(ZONE))
    series = EmbeddedSeries(store / "series.sqlite")
    rebuild(record, store, series, "embedded", lambda done, total: None)
    record.close()
    series.close()
    return store


@pytest.fixture(scope="module")
def billed_people(billed_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    series = EmbeddedSeries(billed_store / "series.sqlite", read_only=True)
    accounts = Accounts(tmp_path_factory.mktemp("accounts"))
    stored = StoredRecord(billed_store, lambda: read_position(billed_store, "embedded"))
    settings = Settings(carbon=Carbon(400, "a made up grid"))
    yield People(
        create_app(
            stored, series, accounts, store=billed_store, settings=settings, clock=lambda: float(JUNE.end(ZONE) + 60)
        )
    )
    accounts.close()
    series.close()


@pytest.fixture(scope="session")
def partnered_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve homes of whom some prefer others or give to them, six intervals; not to be changed."""
    store = tmp_path_factory.mktemp("partnered")
    settle_street(store, offers=OFFERS)
    record = Record(store)
    series = EmbeddedSeries(store / "series.sqlite")
    rebuild(record, store, series, "embedded", lambda done, total: None)
    record.close()
    series.close()
    return store


@pytest.fixture(scope="module")
def partnered_people(partnered_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    yield from people_of(partnered_store, tmp_path_factory.mktemp("accounts"))


@pytest.fixture
def fresh_partnered(partnered_store: Path, tmp_path: Path) -> Iterator[People]:
    """The same on a copy that a test may change."""
    shutil.copytree(partnered_store, tmp_path / "store")
    yield from people_of(tmp_path / "store", tmp_path / "store")
