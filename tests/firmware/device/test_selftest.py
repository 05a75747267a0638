"""The self-test: what it finds, in words that say what to do."""

import json
import re
import runpy
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.device.authority import Credential, issue, make_authority
from tests.firmware.device.conftest import DEVICE, HEAP
from tests.firmware.device.test_display import CONFIG
from tests.firmware.device.test_tls import AUTHORITY, METER, arm, equip

STRANGER = make_authority("another authority")
NOW = int(time.time())


@pytest.fixture
def check(on_device: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    def run(*cases: Any) -> list[Any]:
        (tmp_path / "cases.json").write_text(json.dumps(cases))
        found: list[Any] = on_device("check.py")
        return found

    return run


def test_sensors_and_their_transformers(check: Callable[..., Any]) -> None:
    cases: list[tuple[list[Any], list[tuple[str, str, str]]]] = [
        (
            [["grid", [412], [231_400]]],
            [("sensor grid", "ok", "412 W, 231 V"), ("transformer grid", "ok", "from the grid into the home (412 W)")],
        ),
        (
            [["grid", None, [], [], None, "no answer"]],
            [("sensor grid", "fail", "no answer; check its cable, its address and its power")],
        ),
        ([["grid", [5], [], [], 500]], [("sensor grid", "warn", "no answer for 500 s; the last was 5 W")]),
        # export that a roof explains, and export that nothing explains
        (
            [["grid", [-900]], ["generation", [1200]]],
            [
                ("sensor grid", "ok", "-900 W"), ("transformer grid", "ok", "no power flows against"),
                ("sensor generation", "ok", "1200 W"), ("transformer generation", "ok", "no power flows against"),
            ],
        ),
        (
            [["grid", [-900]], ["generation", [100]]],
            [
                ("sensor grid", "ok", ""), ("transformer grid", "warn", "900 W flow into the grid; if"),
                ("sensor generation", "ok", ""), ("transformer generation", "ok", ""),
            ],
        ),
        ([["grid", [-900]]], [("sensor grid", "ok", ""), ("transformer grid", "warn", "turn the current transformer")]),
        # noise has either sign
        ([["grid", [-9]]], [("sensor grid", "ok", ""), ("transformer grid", "ok", "")]),
        (
            [["grid", [5]], ["load", [300, -700]]],
            [
                ("sensor grid", "ok", ""), ("transformer grid", "ok", ""), ("sensor load", "ok", ""),
                ("transformer load", "fail", "phase 2 shows -700 W and a load cannot give power back: turn its"),
            ],
        ),
        (
            [["grid", [1, 2, 3], [230_000] * 3]],
            [
                ("sensor grid", "ok", "1 W, 2 W, 3 W, 230 V, 230 V, 230 V"), ("transformer grid", "ok", ""),
                ("phases grid", "ok", "in order"),
            ],
        ),
        (
            [["grid", [1, 2, 3], [230_000] * 3, ["phase-order"]]],
            [
                ("sensor grid", "ok", ""), ("transformer grid", "ok", ""),
                ("phases grid", "fail", "the phases do not come in the order L1, L2, L3"),
            ],
        ),
    ]  # fmt: skip
    found = check(*[("sensors", views) for views, _ in cases])
    for rows, (views, expected) in zip(found, cases, strict=True):
        assert [(name, level) for name, level, _, _ in rows] == [(name, level) for name, level, _ in expected], views
        assert all(part in row[3] for row, (_, _, part) in zip(rows, expected, strict=True)), rows
        assert all(row[2] == (row[1] != "fail") for row in rows)


def test_clock_wifi_broker_and_outbox(check: Callable[..., Any]) -> None:
    cases: list[tuple[str, Any, str, str]] = [
        ("clock", {"is_set": False, "error_ms": None, "doubtful": True}, "fail", "not set: no time server answers"),
        ("clock", {"is_set": True, "error_ms": 40, "doubtful": False}, "ok", "right within 40 ms"),
        ("clock", {"is_set": True, "error_ms": 4000, "doubtful": True}, "warn", "wrong by 4000 ms"),
        ("clock", {"is_set": True, "error_ms": None, "doubtful": False}, "ok", "the demo keeps it"),
        ("wifi", [None, None, None], "skip", "not used"),
        ("wifi", ["Home", -60, None], "ok", "Home, -60 dBm"),
        ("wifi", ["Home", -85, None], "warn", "only -85 dBm: move the router"),
        ("wifi", ["Home", None, "password"], "fail", "not joined to Home: password; press the button"),
        ("outbox", None, "skip", "nothing measured yet"),
        ("outbox", {"waiting": 3, "dropped": 0}, "ok", "3 intervals wait"),
        ("outbox", {"waiting": 300, "dropped": 0}, "warn", "nothing was accepted for long"),
        ("outbox", {"waiting": 300, "dropped": 7}, "warn", "7 intervals were lost"),
        ("memory", [], "ok", "bytes free"),
        ("flash", [], "ok", "KB free"),
    ]
    for (row,), (name, _, level, part) in zip(check(*[case[:2] for case in cases]), cases, strict=True):
        assert row[:3] == [name, level, None if level == "skip" else level != "fail"], row
        assert part in row[3]


@pytest.mark.parametrize(
    ("meter", "now_s", "level", "part"),
    [
        pytest.param(METER, NOW, "warn", "ends on ", id="soon over"),
        pytest.param(issue(AUTHORITY, "rural3/m001", days=(-9, 400)), NOW, "ok", "rural3/m001, until 20", id="good"),
        pytest.param(issue(AUTHORITY, "rural3/m001", days=(-9, 9000)), NOW, "ok", ", until 205", id="beyond 2050"),
        pytest.param(issue(AUTHORITY, "rural3/m001", days=(-9, -1)), NOW, "fail", "ended on", id="over"),
        pytest.param(issue(AUTHORITY, "rural3/m001", days=(1, 9)), NOW, "fail", "is the clock right?", id="early"),
        pytest.param(issue(AUTHORITY, "rural3/m002"), NOW, "fail", "is for rural3/m002, but", id="of another meter"),
        pytest.param(METER, None, "ok", "rural3/m001, until", id="no time"),
        pytest.param(None, NOW, "fail", "client.der cannot be read", id="none"),
        pytest.param(Credential(METER.certificate, AUTHORITY.key), NOW, "ok", "", id="key of another"),
    ],
)
def test_certificates(
    check: Callable[..., Any], tmp_path: Path, meter: Credential | None, now_s: int | None, level: str, part: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "broker": {"host": "h", "port": 1, "tls": True}}))
    equip(tmp_path, AUTHORITY, meter or METER)
    if meter is None:
        (tmp_path / "client.der").unlink()
    ((row,),) = check(("certificate", now_s))
    if meter is not None and meter.key is AUTHORITY.key:
        # MicroPython may or may not compare the two; what it says must be clear
        assert row[1] in ("warn", "fail")
    else:
        assert (row[0], row[1]) == ("certificate", level) and part in row[3]


def test_what_a_certificate_says(check: Callable[..., Any], tmp_path: Path) -> None:
    """Cut short at any byte it is refused; whole it says what was put in."""
    for days in ((-1, 1), (-400, 9000)):
        made = issue(AUTHORITY, "rural3/m001", ["localhost"], days)
        (tmp_path / "some.der").write_bytes(made.der)
        (found,) = check(("read", "some.der"))
        certificate = made.certificate
        assert found == [
            "rural3/m001",
            int(certificate.not_valid_before_utc.timestamp()),
            int(certificate.not_valid_after_utc.timestamp()),
        ]


def test_both_languages_say_the_same_things() -> None:
    english, korean = (runpy.run_path(str(DEVICE / f"selftest_{name}.py"))["SAYS"] for name in ("en", "ko"))
    assert {code: re.findall("%.", text) for code, text in english.items()} == {
        code: re.findall("%.", text) for code, text in korean.items()
    }
    codes = set(re.findall(r'"([a-z]+-[a-z]+|configuration)"', (DEVICE / "selftest.py").read_text()))
    codes |= set(re.findall(r'"([a-z]+-[a-z]+|configuration)"', (DEVICE / "selftest_bench.py").read_text()))
    assert codes - {"self-test"} == set(english)


def doctor(micropython: Path, flash: Path, call: str = "selftest.main()") -> tuple[dict[str, Any], str]:
    """What the host's doctor does at the serial prompt."""
    done = subprocess.run(
        [micropython, "-X", HEAP, "-c", f"import sys; sys.path[0] = '{DEVICE}'; import selftest; {call}"],
        cwd=flash,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    report: dict[str, Any] = json.loads(done.stdout)
    return report, done.stderr


def test_the_doctor_of_a_meter_that_is_well(
    micropython: Path, broker: Any, market: Any, make_meter: Callable[..., Any], wait: Callable[..., None]
) -> None:
    meter = make_meter(broker.port, [(400, 0)])
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    meter.tick(2)
    wait(lambda: market.next and next(iter(market.next.values())) == 2, what="two readings")
    # a client id of its own: the meter that runs meanwhile is not thrown out
    report, _ = doctor(micropython, meter.flash)
    assert (report["v"], report["meter"]) == (1, "m001")
    levels = {row["check"]: row["level"] for row in report["checks"]}
    assert levels == {
        "sensor grid": "ok", "transformer grid": "ok", "wifi": "skip", "clock": "skip", "broker": "ok",
        "certificate": "skip", "memory": "ok", "flash": "ok", "outbox": "ok",
    }  # fmt: skip
    assert "link" not in meter.diagnostics()


def test_the_doctor_over_tls(micropython: Path, broker: Any, tmp_path: Path, make_meter: Callable[..., Any]) -> None:
    broker.kill()
    arm(broker, tmp_path)
    broker.start()
    meter = make_meter(broker.port, [(400, 0)], broker={"host": "localhost", "port": broker.port, "tls": True})
    equip(meter.flash)
    rows = {row["check"]: row for row in doctor(micropython, meter.flash)[0]["checks"]}
    assert (rows["broker"]["ok"], rows["broker"]["says"]) == (True, f"localhost:{broker.port} answers")
    assert rows["certificate"]["level"] == "warn"
    equip(meter.flash, STRANGER)
    rows = {row["check"]: row for row in doctor(micropython, meter.flash)[0]["checks"]}
    assert rows["broker"]["ok"] is False and "not correctly signed" in rows["broker"]["says"]


def test_the_doctor_of_meters_that_are_not_well(micropython: Path, make_meter: Callable[..., Any]) -> None:
    meter = make_meter(1, [(400, 0)])
    report, told = doctor(micropython, meter.flash, "selftest.main(2000, 0)")
    rows = {row["check"]: row for row in report["checks"]}
    assert rows["broker"]["says"] == "127.0.0.1:1: nobody listens there"
    assert "switch on a load of 2000 W now" in told
    assert rows["load grid"]["says"] == "the load of 2000 W is not seen: the sum of all phases changed by 0 W"
    (meter.flash / "profile.txt").unlink()
    rows = {row["check"]: row for row in doctor(micropython, meter.flash)[0]["checks"]}
    assert rows["sensors"]["ok"] is False
    (meter.flash / "config.json").write_text("{}")
    report, _ = doctor(micropython, meter.flash)
    assert report["meter"] is None
    assert report["checks"][0]["says"] == "config.json: version: not 1"
