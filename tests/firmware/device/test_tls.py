"""The meter's link over TLS with client certificates, against a real Mosquitto, and what can go wrong on the way."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.device.authority import Credential, issue, make_authority
from tests.firmware.device.middleman import Fault, between

AUTHORITY = make_authority()
STRANGER = make_authority("another authority")
SERVER = issue(AUTHORITY, "broker", ["localhost", "127.0.0.1"])
METER = issue(AUTHORITY, "rural3/m001")
WATTS = [(400, 0), (200, 900)]


def arm(broker: Any, folder: Path, server: Credential = SERVER) -> None:
    """TLS with client certificates only; the certificate's name is the user. The market keeps a port of its own."""
    AUTHORITY.write(folder, "authority")
    server.write(folder, "server")
    (folder / "access").write_text("user rural3/m001\ntopic pumasi/1/rural3/m001/#\ntopic pumasi/1/a/b/#\n")
    broker.settings = [
        f"cafile {folder}/authority.pem",
        f"certfile {folder}/server.pem",
        f"keyfile {folder}/server.key",
        "require_certificate true",
        "use_identity_as_username true",
        f"acl_file {folder}/access",
    ]


def equip(flash: Path, authority: Credential = AUTHORITY, meter: Credential = METER) -> None:
    (flash / "ca.der").write_bytes(authority.der)
    (flash / "client.der").write_bytes(meter.der)
    (flash / "client.key.der").write_bytes(meter.key_der)


@pytest.fixture
def secured(broker: Any, tmp_path: Path) -> Any:
    broker.kill()
    arm(broker, tmp_path)
    broker.start()
    equip(tmp_path)
    return broker


def dial_often(on_device: Callable[..., Any], port: int, times: int, timeout_ms: int = 5000, stay_ms: int = 100) -> Any:
    return on_device("dial_often.py", "localhost", port, times, timeout_ms, 1, stay_ms)


def test_certificates_of_the_authority_are_accepted(on_device: Callable[..., Any], secured: Any) -> None:
    assert dial_often(on_device, secured.port, 3)["ends"] == ["stayed"] * 3
    # an address in the certificate is as good as a name
    assert on_device("dial_often.py", "127.0.0.1", secured.port, 1, 5000, 1, 100)["ends"] == ["stayed"]


@pytest.mark.parametrize(
    ("server", "authority", "meter", "ended"),
    [
        pytest.param(SERVER, STRANGER, METER, "TLS: The certificate is not correctly signed", id="another authority"),
        pytest.param(
            issue(AUTHORITY, "broker", ["localhost"], (-3, -1)), AUTHORITY, METER, "has expired", id="expired broker"
        ),
        pytest.param(
            issue(AUTHORITY, "broker", ["localhost"], (1, 3)), AUTHORITY, METER, "starts in the future", id="too early"
        ),
        pytest.param(
            issue(AUTHORITY, "broker", ["broker.example"]), AUTHORITY, METER, "does not match", id="another host"
        ),
        pytest.param(
            SERVER, AUTHORITY, issue(STRANGER, "rural3/m001"), "our certificate may be", id="a stranger's meter"
        ),
        pytest.param(
            SERVER, AUTHORITY, issue(AUTHORITY, "rural3/m001", days=(-3, -1)), "our certificate", id="expired meter"
        ),
    ],
)
def test_wrong_certificates_are_refused_by_name_and_cost_nothing_but_the_connection(
    make_meter: Callable[..., Any],
    broker: Any,
    tmp_path: Path,
    wait: Callable[..., None],
    server: Credential,
    authority: Credential,
    meter: Credential,
    ended: str,
) -> None:
    broker.kill()
    arm(broker, tmp_path, server)
    broker.start()
    device = make_meter(broker.port, WATTS, broker={"host": "localhost", "port": broker.port, "tls": True})
    equip(device.flash, authority, meter)
    device.start()
    for now in range(4):
        device.tick(now)
    device.wait_closed(2)
    wait(lambda: ended in device.diagnostics(), what="the reason")
    assert not [event for event in device.events if event["event"] == "ready"]
    broker.kill()
    arm(broker, tmp_path)
    broker.start()
    equip(device.flash)
    # certificates are read for each connection: the right ones need no restart
    device.wait_ready()


def test_a_meter_without_certificates_says_so_and_goes_on_measuring(
    make_meter: Callable[..., Any], broker: Any, wait: Callable[..., None]
) -> None:
    meter = make_meter(broker.port, WATTS, broker={"host": "localhost", "port": broker.port, "tls": True})
    meter.start()
    for now in range(3):
        meter.tick(now)
    meter.wait_closed(1)
    wait(lambda: "link: ca.der cannot be read" in meter.diagnostics(), what="the reason")


def test_a_secured_broker_that_dies_and_comes_back(
    make_meter: Callable[..., Any], secured: Any, wait: Callable[..., None]
) -> None:
    meter = make_meter(secured.port, WATTS, broker={"host": "localhost", "port": secured.port, "tls": True})
    equip(meter.flash)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    for now in range(1, 4):
        secured.kill()
        meter.tick(now)
        meter.wait_closed(now - 1)
        wait(lambda now=now: meter.diagnostics().count("link: ") >= now, what="a lost connection")
        secured.start()
        wait(lambda now=now: meter.diagnostics().count("link: connected again") >= now, what="a new connection")


def test_a_connection_cut_at_any_byte_ends_and_leaves_nothing_open(on_device: Callable[..., Any], secured: Any) -> None:
    """In both directions, through handshake, CONNACK, SUBACK, PUBACKs."""
    with between(secured.port, []) as clean:
        assert dial_often(on_device, clean.port, 1)["ends"] == ["stayed"]
    draw = random.Random(4)
    faults: list[Fault | None] = []
    for down, most in clean.passed[0].items():
        # signatures differ in length by a few bytes from one handshake to the next
        faults += [Fault("cut", after, down) for after in (0, 1, *draw.sample(range(2, most - 9), 8), most - 9)]
    with between(secured.port, faults) as spoiling:
        answer = dial_often(on_device, spoiling.port, len(faults) + 2, stay_ms=700)
    assert [end for end in answer["ends"][: len(faults)] if end == "stayed"] == []
    assert answer["ends"][len(faults) :] == ["stayed"] * 2
    assert answer["after"] == answer["before"]


def test_a_connection_that_stalls_at_any_byte_is_given_up(on_device: Callable[..., Any], secured: Any) -> None:
    """Half open: nobody says that it is over. Waits are those of the reply and of the keepalive."""
    faults: list[Fault | None] = [
        Fault("stall", after, down) for down, afters in ((True, (0, 900)), (False, (200,))) for after in afters
    ]
    with between(secured.port, []) as clean:
        dial_often(on_device, clean.port, 1)
    # within the answer to the first ping: signatures differ in length by a few bytes from one handshake to the next
    faults.append(Fault("stall", clean.passed[0][True] + 15))
    with between(secured.port, faults) as spoiling:
        answer = dial_often(on_device, spoiling.port, len(faults) + 1, 2000, 3500)
    assert answer["ends"][-1] == "stayed" and "stayed" not in answer["ends"][:-1]
    assert "no answer in time" in answer["ends"][0]
    assert answer["ends"][-2] == "ProtocolError: the broker is silent"
    assert answer["after"] == answer["before"]


def test_a_swallowed_byte_is_noticed(on_device: Callable[..., Any], secured: Any) -> None:
    faults: list[Fault | None] = [Fault("swallow", after, down) for down in (True, False) for after in (3, 90, 500)]
    with between(secured.port, faults) as spoiling:
        answer = dial_often(on_device, spoiling.port, len(faults) + 1, 2000, 100)
    assert answer["ends"][-1] == "stayed" and "stayed" not in answer["ends"][:-1]
    assert answer["after"] == answer["before"]


def test_cuts_without_tls_too(on_device: Callable[..., Any], broker: Any) -> None:
    faults: list[Fault | None] = [Fault("cut", after) for after in range(0, 4 + 5 + 8 * 4, 2)]
    with between(broker.port, faults) as spoiling:
        answer = dial_often(on_device, spoiling.port, len(faults) + 1, stay_ms=300)
    assert answer["ends"][-1] == "stayed" and "stayed" not in answer["ends"][:-1]
    assert answer["after"] == answer["before"]
