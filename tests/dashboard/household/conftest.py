"""A small street in Korea with two settled months: May is closed and billed, June is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
from tests.dashboard.signed import People
from tests.market.billed import JUNE, MAY, ZONE, settle_months


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
