"""``pumasi proof``, ``verify-proof`` and ``audit --heads`` as they are typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware.host.community import community_document
from firmware.host.street import load_street, with_homes
from market.commands import main
from market.proof.verify import check_proof
from market.record import Record
from market.service.chain import HEADS_FILE
from market.service.proofs import proof_of
from tests.market.settled import settle_street
from tests.servers import MosquittoServer


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    settle_street(store, eventful=True)
    return store


@pytest.fixture(scope="module")
def starts(store: Path) -> list[int]:
    """The starts of the settled intervals."""
    record = Record(store, read_only=True)
    found = sorted({gate.start for gate in record.gates()})
    record.close()
    return found


def key(store: Path) -> str:
    return (store / "chain.pub").read_text().strip()


def test_every_proof_of_every_interval_holds(store: Path, starts: list[int]) -> None:
    """Made as the command makes them, whose words the tests below look at."""
    heads = [json.loads(line) for line in (store / HEADS_FILE).read_text().splitlines()]
    record = Record(store, read_only=True)
    for start in starts:
        for home in range(1, 13):
            text = proof_of(record, store, f"h{home:03d}", start, 900, "interval")
            checks = check_proof(text, public_key=key(store), heads=heads)
            assert checks[-1].holds, (start, home, checks[-1])
            assert len(text) < 20_000
    record.close()


def test_a_household_verifies_its_proof(
    store: Path, starts: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, readings = tmp_path / "proof.json", tmp_path / "readings.json"
    assert main(["proof", "h003", str(starts[0]), "--store", str(store), "--out", str(out)]) == 0
    record = Record(store, read_only=True)
    payload = record.reading_at("m003", starts[0], 900)
    record.close()
    assert payload is not None
    readings.write_bytes(payload)
    options = ["--heads", str(store / HEADS_FILE), "--public-key", key(store), "--reading", str(readings)]
    assert main(["verify-proof", str(out), *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "verify-proof: OK"
    assert [line.split()[1] for line in said[:-1]] == [
        *("form:", "signature:", "chain:", "membership:", "sums:", "reading:", "order:", "money:", "transfers:"),
        *("heads:", "meter:"),
    ]
    out.write_text(out.read_text().replace('\\"import_wh\\":', '\\"import_wh\\":1'))
    assert main(["verify-proof", str(out), *options]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith("FAILS  membership:")
    assert said[-1] == f"verify-proof: {out} does not hold: membership"


def test_the_interval_can_be_named_in_local_time_and_the_head_chosen(
    store: Path, starts: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proof", "h003", "2016-07-11T11:40", "--store", str(store)]) == 0
    assert json.loads(capsys.readouterr().out)["start"] == starts[0]
    assert main(["proof", "h003", str(starts[0]), "--to", "1", "--store", str(store)]) == 0
    assert json.loads(capsys.readouterr().out)["newest"]["number"] == 1


def test_a_corrected_reading_says_so_and_an_earlier_head_does_not_know_it(
    store: Path, starts: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proof", "h002", str(starts[3]), "--store", str(store)]) == 0
    proof = capsys.readouterr().out
    assert len(json.loads(proof)["revisions"]) == 2
    assert any("m002 (correction 1)" in check.text for check in check_proof(proof))
    assert main(["proof", "h002", str(starts[3]), "--to", "5", "--store", str(store)]) == 0
    assert len(json.loads(capsys.readouterr().out)["revisions"]) == 1


REFUSED = [
    (["proof"], "say whose proof of which interval"),
    (["proof", "h003"], "say whose proof of which interval"),
    (["proof", "h099", "@"], "h099 has no account in closure 1"),
    (["proof", "h003", "900"], "the interval that starts at 900 had not been settled when head 9 was made"),
    (["proof", "h003", "2016-07"], "the month that starts at 1467324000 had not been settled"),
    (["proof", "h003", "2016-13"], "2016-13"),
    (["proof", "h003", "midday"], "midday"),
    (["proof", "h003", "@", "--to", "10"], "there is no head 10: the chain ends with 9"),
    (["proof", "h003", "@", "--out", "/nowhere/p.json"], "/nowhere/p.json: No such file or directory"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=lambda part: str(part)[:40])
def test_what_cannot_be_proven_is_said_in_one_line(
    store: Path, starts: list[int], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    words = [str(starts[0]) if word == "@" else word for word in words]
    assert main([*words, "--store", str(store)]) == 2
    stderr = capsys.readouterr().err
    assert said in stderr
    assert stderr.count("\n") == 1


def test_a_new_store_says_that_nothing_is_settled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Record(tmp_path)
    record.store_document(community_document(with_homes(load_street(), 3), "c"), 0)
    record.close()
    assert main(["proof", "h001", "2016-07-11T11:40", "--store", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "pumasi: nothing has been settled here yet\n"


def test_a_store_without_its_secret_proves_nothing(
    store: Path, starts: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    (copy / "proof.secret").unlink()
    words = ["proof", "h003", str(starts[0]), "--store", str(copy)]
    assert main(words) == 2
    assert "nothing can be proven" in capsys.readouterr().err
    (copy / "proof.secret").touch(mode=0o600)
    (copy / "proof.secret").write_text("ab" * 32)
    assert main(words) == 2
    assert "made under a secret that is no longer here" in capsys.readouterr().err


UNREADABLE = [
    (["--head", "ab"], "--head ab: not 64 hexadecimal digits"),
    (["--public-key", "xy"], "--public-key xy: not 64 hexadecimal digits"),
    (["--heads", "@"], "line 1 is not a published head"),
    (["--heads", "/nowhere"], "/nowhere: No such file or directory"),
    (["--reading", "/nowhere"], "/nowhere: No such file or directory"),
]


@pytest.mark.parametrize(("options", "said"), UNREADABLE, ids=lambda part: str(part)[:30])
def test_what_cannot_be_read_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    path = tmp_path / "file"
    path.write_text("no proof\n")
    assert main(["verify-proof", str(path), *(str(path) if word == "@" else word for word in options)]) == 2
    assert said in capsys.readouterr().err


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    page = tmp_path / "verify.html"
    assert main(["proof", "--verifier", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "http://" not in text
    assert "https://" not in text


def test_an_audit_takes_the_newest_head_from_the_broker(
    store: Path, tmp_path: Path, start_mosquitto: Callable[[], MosquittoServer], capsys: pytest.CaptureFixture[str]
) -> None:
    broker = start_mosquitto()
    words = ["audit", "--store", str(store), "--broker", f"{broker.host}:{broker.port}"]
    retain(broker, "pumasi/1/c/_chain", (store / HEADS_FILE).read_bytes().splitlines()[-1])
    assert main(words) == 0
    assert "10 published ones are among them" in capsys.readouterr().out
    other = tmp_path / "other"
    settle_street(other, steps=3)
    retain(broker, "pumasi/1/c/_chain", (other / HEADS_FILE).read_bytes().splitlines()[-1])
    assert main(words) == 1
    assert "audit: head 4 was published as" in capsys.readouterr().out
    for said in (
        b"no head",
        b'{"number": "4", "head": "' + b"ab" * 32 + b'"}',
        b'{"number": 4, "head": ' + b"[" * 9000,
    ):
        retain(broker, "pumasi/1/c/_chain", said)
        assert main(words) == 2
        assert "is not a head" in capsys.readouterr().err


def retain(broker: MosquittoServer, topic: str, payload: bytes) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()
