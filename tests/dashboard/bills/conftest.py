"""People of a street whose May was closed and corrected, and whose June is not closed yet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from broker.keys import master_key
from dashboard.accounts import Accounts
from dashboard.app import create_app
from dashboard.stored import StoredRecord
from market.record import Record
from market.series import EmbeddedSeries
from market.series.position import read_position
from market.service import months
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.market import MASTER_KEY_FILE
from market.service.projection import rebuild
from tests.dashboard.signed import People
from tests.market.billed import JUNE, MAY, ZONE, hear, settle_months

LATE = frozenset({("park", 10)})


@pytest.fixture(scope="session")
def billed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """May closed, then corrected by a reading that came late; June settled and not closed. Not to be changed."""
    store = tmp_path_factory.mktemp("billed")
    settle_months(store, late=LATE)
    record = Record(store)
    chain = Chain(record, store)

    def close() -> None:
        months.close(record, MAY, JUNE.end(ZONE), lambda gate, rules, text: chain.add(gate))

    close()
    with record.transaction():
        for home, step in LATE:
            hear(record, master_key(store / MASTER_KEY_FILE), home, step)
    assert len(list(Gates(record, 0.0, chain=chain).run_again())) == 2
    close()
    chain.write_heads()
    series = EmbeddedSeries(store / "series.sqlite")
    rebuild(record, store, series, "embedded", lambda done, total: None)
    series.close()
    record.close()
    return store


@pytest.fixture(scope="module")
def billed(billed_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Who lives there; what one test asks the others of its module see."""
    series, accounts = EmbeddedSeries(billed_store / "series.sqlite"), Accounts(tmp_path_factory.mktemp("accounts"))
    stored = StoredRecord(billed_store, lambda: read_position(billed_store, "embedded"))
    yield People(create_app(stored, series, accounts, store=billed_store, clock=lambda: JUNE.end(ZONE)))
    accounts.close()
    series.close()


@contextmanager
def serving(people: People) -> Iterator[str]:
    """The address of their pages, served from this process."""
    server = uvicorn.Server(uvicorn.Config(people.app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.02)
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def settled_address(settled_people: People) -> Iterator[str]:
    with serving(settled_people) as address:
        yield address


@pytest.fixture(scope="module")
def billed_address(billed: People) -> Iterator[str]:
    with serving(billed) as address:
        yield address
