"""Fixtures that give real parts. A part that cannot be had skips its tests, and fails them where CI=true."""

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests import parts
from tests.servers import InfluxDatabase, InfluxServer, MosquittoServer, PostgresqlServer, VictoriaServer


@functools.cache
def reason_or_program(name: str) -> str | Path:
    try:
        return parts.prepare_browser() if name == "chromium" else parts.get(name)
    except parts.MissingPartError as reason:
        return f"{name} cannot be had: {reason}"


def program(name: str) -> Path:
    found = reason_or_program(name)
    return found if isinstance(found, Path) else missing(found)


def missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mosquitto_path() -> Path:
    return program("mosquitto")


@pytest.fixture
def start_mosquitto(mosquitto_path: Path, tmp_path: Path) -> Iterator[Callable[[], MosquittoServer]]:
    """A factory of running brokers; each has start() and stop(), and all are stopped after the test."""
    started: list[MosquittoServer] = []

    def start() -> MosquittoServer:
        folder = tmp_path / f"mosquitto-{len(started)}"
        folder.mkdir()
        server = MosquittoServer(mosquitto_path, folder)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def mosquitto(start_mosquitto: Callable[[], MosquittoServer]) -> MosquittoServer:
    """A running broker without accounts: .host, .port, .stop(), .start()."""
    return start_mosquitto()


@pytest.fixture(scope="session")
def influxdb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    server = InfluxServer(program("influxdb"), tmp_path_factory.mktemp("influxdb"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


database_numbers = itertools.count(1)


@pytest.fixture
def influxdb(influxdb_server: InfluxServer) -> Iterator[InfluxDatabase]:
    """An empty database on a running InfluxDB: .url, .user, .password, .database."""
    name = f"pumasi_{next(database_numbers)}"
    influxdb_server.query(f'CREATE DATABASE "{name}"')
    yield InfluxDatabase(influxdb_server.url, influxdb_server.user, influxdb_server.password, name)
    influxdb_server.query(f'DROP DATABASE "{name}"')


@pytest.fixture(scope="session")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaServer]:
    """A running `/api/v2/write` that is not InfluxDB's own."""
    server = VictoriaServer(program("victoria-metrics"), tmp_path_factory.mktemp("victoria"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    server = PostgresqlServer(program("postgresql"))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgresql(postgresql_server: PostgresqlServer) -> str:
    """The URL of an empty PostgreSQL database."""
    return postgresql_server.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path]:
    """A factory of stores' directories, once for records in SQLite and once for records in PostgreSQL."""
    server = request.getfixturevalue("postgresql_server") if request.param == "postgresql" else None
    numbers = itertools.count(1)

    def make() -> Path:
        directory = tmp_path / f"store-{next(numbers)}"
        directory.mkdir()
        if server is not None:
            (directory / "record.url").write_text(server.new_database())
        return directory

    return make


@pytest.fixture
def store(new_store: Callable[[], Path]) -> Path:
    """A store's directory, once for a record in SQLite and once for one in PostgreSQL."""
    return new_store()


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """For playwright's `executable_path`; launch it with `args=parts.CHROMIUM_ARGUMENTS`."""
    return program("chromium")
