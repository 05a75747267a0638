"""A store remembers where its record lies; a community has one record."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from market.record import Record, RecordError
from market.record.place import FILE_NAME, URL_FILE, named, record_url
from tests.servers import PostgresqlServer

ROOT = Path(__file__).parents[3]


def test_without_a_url_the_record_is_a_file_in_the_store(tmp_path: Path) -> None:
    Record(tmp_path).close()
    assert (tmp_path / FILE_NAME).exists() and not (tmp_path / URL_FILE).exists()
    assert named(record_url(tmp_path)) == str(tmp_path / FILE_NAME)


def test_a_sqlite_file_elsewhere_is_remembered(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "a record.sqlite"
    Record(tmp_path / "store", url=f"sqlite:///{elsewhere}").close()
    assert elsewhere.exists() and not (tmp_path / "store" / FILE_NAME).exists()
    record = Record(tmp_path / "store", read_only=True)
    assert record.name == str(elsewhere)
    record.close()


def test_the_url_with_its_password_is_for_the_owner_only(tmp_path: Path, postgresql: str) -> None:
    url = postgresql.replace("pumasi@", "pumasi:secret@")
    record = Record(tmp_path, url=url)
    record.close()
    file = tmp_path / URL_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "secret" in file.read_text() and "secret" not in record.name
    again = Record(tmp_path)
    assert again.name == record.name
    again.close()
    Record(tmp_path, url=postgresql).close()
    assert not list(tmp_path.glob("*.new"))


def test_a_store_has_one_record(tmp_path: Path, postgresql: str) -> None:
    Record(tmp_path).close()
    with pytest.raises(RecordError, match=rf"the record of {tmp_path} is .*{FILE_NAME}; begin a new store"):
        Record(tmp_path, url=postgresql)
    other = tmp_path / "other"
    Record(other, url=postgresql).close()
    with pytest.raises(RecordError, match="begin a new store"):
        Record(other, url=f"sqlite:///{tmp_path}/x.sqlite")
    assert not (tmp_path / "x.sqlite").exists()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "not a database URL such as postgresql://"),
        ("mysql://h/d", "a record lies in sqlite or postgresql, not in mysql"),
        ("sqlite://", "names no database"),
        ("sqlite:///:memory:", "names no database"),
        ("postgresql://h", "names no database"),
    ],
)
def test_a_url_that_cannot_be_one_is_refused_before_anything_is_made(tmp_path: Path, url: str, reason: str) -> None:
    store = tmp_path / "store"
    with pytest.raises(RecordError, match=f"--record: .*{reason}|--record: {reason}"):
        Record(store, url=url)
    assert not store.exists()


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://pumasi:secret@/d?host={tmp_path}"
    with pytest.raises(RecordError, match=r"^postgresql://pumasi:\*\*\*@/d") as refused:
        Record(tmp_path / "store", url=url)
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "store").exists()


HOLD = """
import sys
from pathlib import Path
from market.record import Record
record = Record(Path(sys.argv[1]), sole=True)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lease_is_one_markets_and_ends_with_its_process(store: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(store)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(RecordError, match="another market is running here already"):
            Record(store, sole=True)
        reader = Record(store, read_only=True)
        assert reader.inputs_version() == 0
        reader.close()
        Record(store).close()
        holder.kill()
    for _ in range(50):
        try:
            Record(store, sole=True).close()
            break
        except RecordError:
            # PostgreSQL notices a dead client a moment later.
            continue
    else:
        raise AssertionError("the lease outlives its process")


def test_a_directory_that_nobody_writes_to_can_be_read(tmp_path: Path) -> None:
    record = Record(tmp_path)
    with record.transaction():
        record.count({"stored": 3})
    record.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME]
    tmp_path.chmod(0o500)
    try:
        reader = Record(tmp_path, read_only=True)
        with reader.snapshot():
            assert reader.outcomes() == {"stored": 3}
        reader.close()
    finally:
        tmp_path.chmod(0o700)
    if os.geteuid() != 0:
        assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME]


def test_a_reader_outlives_a_restart_of_the_server_and_a_writer_does_not(
    postgresql_server: PostgresqlServer, postgresql: str, tmp_path: Path
) -> None:
    writer = Record(tmp_path, url=postgresql, sole=True)
    reader = Record(tmp_path, read_only=True)
    postgresql_server.stop()
    postgresql_server.start()
    with pytest.raises(RecordError, match=r"^postgresql://.*terminat|^postgresql://.*clos"):
        reader.inputs_version()
    assert reader.inputs_version() == 0
    reader.close()
    for _ in range(2):
        with pytest.raises(RecordError), writer.transaction():
            writer.count({"stored": 1})
    writer.close()


def test_each_schema_of_a_database_can_hold_a_record(postgresql: str, tmp_path: Path) -> None:
    markets = []
    for name in ("north", "south"):
        record = Record(tmp_path / name, url=postgresql)
        record._db.execute(f"CREATE SCHEMA {name}")
        record.close()
        (tmp_path / name / URL_FILE).unlink()
        markets.append(Record(tmp_path / name, url=f"{postgresql}&options=-csearch_path%3D{name}", sole=True))
    with markets[0].transaction():
        markets[0].count({"stored": 1})
    assert [market.outcomes() for market in markets] == [{"stored": 1}, {}]
    with pytest.raises(RecordError, match="another market"):
        Record(tmp_path / "north", sole=True)
    for market in markets:
        market.close()


def test_a_snapshot_stands_still_while_another_writes(store: Path) -> None:
    writer = Record(store)
    reader = Record(store, read_only=True)
    with reader.snapshot():
        assert reader.outcomes() == {}
        with writer.transaction():
            writer.count({"stored": 1})
        assert reader.outcomes() == {}
    assert reader.outcomes() == {"stored": 1}
    with pytest.raises(RecordError), reader.transaction():
        reader.count({"stored": 1})
    reader.close()
    writer.close()
