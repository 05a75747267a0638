"""`pumasi broker run` as it really runs: who is refused, revocation of a live session, renewal, ends and crashes."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import http.client
import json
import os
import queue
import re
import signal
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker import certificates, enrolment, identities, mosquitto, refusals, renewal, site
from broker.live import Live
from broker.prepared import mosquitto_files
from broker.private_files import write_private
from broker.run import RunningBroker, accepts
from broker.running import running
from broker.site import Site
from market.service.ingest import Message
from market.service.link import Link
from tests.broker.stores import (
    COMMUNITY,
    HOST,
    WHOLE_COMMAND,
    BrokerProcess,
    Client,
    RefusedError,
    context,
    forged_context,
    free_ports,
    issue,
    make_site,
    meter_context,
    new_token,
    pumasi,
    retained,
)

OWN = f"pumasi/1/{COMMUNITY}/m001"


@pytest.fixture
def store(mosquitto_path: Path, tmp_path: Path) -> Path:
    path = tmp_path / "store"
    make_site(path)
    issue(path, "m001", "m002")
    return path


@pytest.fixture(scope="module")
def shared(mosquitto_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Site]]:
    """A broker that runs for the tests that change nothing about it."""
    store = tmp_path_factory.mktemp("shared")
    place = make_site(store)
    issue(store, "m001")
    with BrokerProcess(store):
        yield store, place


def market(store: Path, **more: Any) -> Client:
    place = site.load(store)
    return Client(place.loopback_port, f"{COMMUNITY}/_market", site.accounts(store).market, **more)


def meter(store: Path, name: str, tmp: Path, **more: Any) -> Client:
    return Client(site.load(store).port, tls=meter_context(store, identities.load(store, name), tmp), **more)


def request(store: Path, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
    """Status, headers and body of an answer of the hub, over TLS that trusts the store's authority alone."""
    place = site.load(store)
    connection = http.client.HTTPSConnection("localhost", place.hub_port, timeout=10, context=context(store))
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def counted(store: Path, name: str) -> int:
    return refusals.read(store).get(name, refusals.Refusal()).count


def until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# who is refused


def another_communitys(store: Path, tmp: Path) -> ssl.SSLContext:
    """A certificate for the same name from another authority; it trusts ours."""
    other = tmp / "other"
    if not other.exists():
        make_site(other)
    (identity,) = issue(other, "m001")
    return context(store, identity.certificate.encode(), identity.private_key.encode(), tmp)


def expired(store: Path, tmp: Path) -> ssl.SSLContext:
    return forged_context(store, f"{COMMUNITY}/m001", tmp, now=site.now() - dt.timedelta(days=9), days=8)


def servers_own(store: Path, tmp: Path) -> ssl.SSLContext:
    folder = site.directory(store)
    made: ssl.SSLContext = context(
        store, (folder / "server.pem").read_bytes(), (folder / "server.key").read_bytes(), tmp
    )
    return made


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("no-certificate", lambda store, tmp: context(store)),
        ("bad-certificate", expired),
        ("bad-certificate", another_communitys),
        ("bad-certificate", servers_own),
    ],
)
def test_a_client_without_a_good_certificate_is_refused_and_counted(
    shared: tuple[Path, Site], tmp_path: Path, name: str, make: Any
) -> None:
    store, place = shared
    before = counted(store, name)
    with pytest.raises(RefusedError), Client(place.port, tls=make(store, tmp_path)):
        pass
    until(lambda: counted(store, name) == before + 1)


def test_a_meter_that_writes_anothers_topic_is_thrown_off_counted_and_named(
    shared: tuple[Path, Site], tmp_path: Path
) -> None:
    store, _ = shared
    before = counted(store, "forbidden")
    with meter(store, "m001", tmp_path) as client:
        assert not client.publish(f"pumasi/1/{COMMUNITY}/m002/reading")
    until(lambda: counted(store, "forbidden") == before + 1)
    assert refusals.read(store)["forbidden"].who == f"{COMMUNITY}/m001"
    shown = pumasi("broker", "show", "--store", store).out
    assert f"refused forbidden: {before + 1}, the last at " in shown and f"UTC: {COMMUNITY}/m001" in shown


def test_a_wrong_password_is_counted(shared: tuple[Path, Site]) -> None:
    store, place = shared
    before = counted(store, "bad-password")
    with pytest.raises(RefusedError), Client(place.loopback_port, f"{COMMUNITY}/_market", "guessed"):
        pass
    until(lambda: counted(store, "bad-password") == before + 1)


@pytest.mark.parametrize("port", ["port", "hub_port"])
@pytest.mark.parametrize(("version", "accepted"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_tls_is_of_this_version_or_newer(
    shared: tuple[Path, Site], tmp_path: Path, port: str, version: str, accepted: bool
) -> None:
    store, place = shared
    tls = meter_context(store, identities.load(store, "m001"), tmp_path)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version = tls.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection((HOST, getattr(place, port)), timeout=10) as plain:
        if accepted:
            with tls.wrap_socket(plain, server_hostname="localhost") as wrapped:
                assert wrapped.version() == version.replace("_", ".")
        else:
            with pytest.raises(ssl.SSLError, match=r"(?i)protocol"):
                tls.wrap_socket(plain, server_hostname="localhost")


def test_plain_text_on_the_tls_port_gets_nowhere(shared: tuple[Path, Site]) -> None:
    store, place = shared
    with pytest.raises(RefusedError), Client(place.port, f"{COMMUNITY}/_market", site.accounts(store).market):
        pass


def test_files_are_private(shared: tuple[Path, Site]) -> None:
    store, _ = shared
    for path in site.directory(store).rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


# the market over TLS


def market_pair(store: Path) -> tuple[bytes, bytes]:
    folder = site.directory(store)
    return (folder / "market.pem").read_bytes(), (folder / "market.key").read_bytes()


def first_word(store: Path, place: Site, tls: ssl.SSLContext | None) -> str:
    """What the market's link says first: that it is connected, or why not."""
    said: queue.Queue[str] = queue.Queue()
    link = Link(
        COMMUNITY, "localhost", place.port, None, tls,
        deliver=lambda received: None, connected=lambda: said.put("connected"), notice=said.put,
    )  # fmt: skip
    link.start()
    try:
        return said.get(timeout=10)
    finally:
        link.stop()


# paho leaves the socket of a handshake that failed to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_market_connects_with_its_certificate_or_says_why_not(shared: tuple[Path, Site], tmp_path: Path) -> None:
    store, place = shared
    make_site(tmp_path / "other")
    assert first_word(store, place, context(store, *market_pair(store), tmp_path)) == "connected"
    for tls in (context(store), context(store, *market_pair(tmp_path / "other"), tmp_path), None):
        assert re.match(
            r"the broker at localhost:\d+ hangs up before it lets the market in", first_word(store, place, tls)
        )
    foreign = context(tmp_path / "other", *market_pair(store), tmp_path)
    assert "its certificate is not good: self-signed certificate in" in first_word(store, place, foreign)
    nobody = msgspec.structs.replace(place, port=free_ports(1)[0])
    assert "Connection refused; tried again until one does" in first_word(store, nobody, None)


# revocation


def test_a_revoked_meter_is_out_at_once_and_comes_back_to_nothing(store: Path, tmp_path: Path) -> None:
    tls = meter_context(store, identities.load(store, "m001"), tmp_path)
    place = site.load(store)
    with BrokerProcess(store) as running_broker, meter(store, "m002", tmp_path) as other, market(store) as listener:
        broker = running_broker.child()
        assert listener.subscribe(f"pumasi/1/{COMMUNITY}/+/reading")
        assert listener.subscribe(f"pumasi/1/{COMMUNITY}/+/status")
        with Client(place.port, tls=tls) as client:
            assert client.publish(f"{OWN}/status", b'{"v":1,"online":true}', retain=True)
            assert client.publish(f"{OWN}/reading", b"good")
            assert listener.received.get(timeout=5)[0] == f"{OWN}/status"
            assert listener.received.get(timeout=5) == (f"{OWN}/reading", b"good")
            done = pumasi("meter", "revoke", "m001", "--store", store)
            assert done.out.startswith("m001: revoked")
            # By the time the command ends its session has ended, and everybody can see that it is offline.
            assert client.gone.wait(1)
        assert listener.received.get(timeout=5) == (f"{OWN}/status", b'{"v":1,"online":false}')
        running_broker.wait_for("certificate and revocation list are read again")
        until(lambda: not lets_in(place.port, tls))
        with pytest.raises(RefusedError), Client(place.loopback_port, f"{COMMUNITY}/m001", password(store, "m001")):
            pass
        # Nobody else noticed: one broker all along.
        assert other.publish(f"pumasi/1/{COMMUNITY}/m002/reading")
        assert running_broker.child() == broker
        assert listener.until(f"pumasi/1/{COMMUNITY}/m002/reading") == []
        until(lambda: counted(store, "bad-certificate") >= 1)


def password(store: Path, name: str) -> str:
    return identities.load(store, name).password


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_revoked_meter_does_not_come_back_by_a_tls_session_of_before(
    store: Path, tmp_path: Path, version: str
) -> None:
    place = site.load(store)
    tls = meter_context(store, identities.load(store, "m001"), tmp_path)
    tls.maximum_version = ssl.TLSVersion[version]
    with BrokerProcess(store) as running_broker:
        accepted, session = greeting(place.port, tls, None)
        assert accepted and greeting(place.port, tls, session)[0]
        pumasi("meter", "revoke", "m001", "--store", store)
        running_broker.wait_for("certificate and revocation list are read again")
        until(lambda: not greeting(place.port, tls, session)[0])


def greeting(port: int, tls: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession | None]:
    """Whether the broker answers a CONNECT, and the TLS session to come back with."""
    name = f"{COMMUNITY}/m001".encode()
    connect = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(name).to_bytes(2, "big") + name
    try:
        with (
            socket.create_connection((HOST, port), timeout=5) as plain,
            tls.wrap_socket(plain, server_hostname="localhost", session=session) as wrapped,
        ):
            wrapped.sendall(b"\x10" + bytes([len(connect)]) + connect)
            return wrapped.recv(4) == b"\x20\x02\x00\x00", wrapped.session
    except OSError:
        return False, None


def test_without_the_list_a_thrown_off_meter_still_has_no_rights(store: Path, tmp_path: Path) -> None:
    """What `deleteClient` does by itself: the revocation list is the second lock, not the only one."""
    identity = identities.load(store, "m001")
    tls = meter_context(store, identity, tmp_path)
    place = site.load(store)
    with BrokerProcess(store), Client(place.port, tls=tls) as client:
        Live(store).throw_off([identity])
        assert client.gone.wait(1)
        with Client(place.port, tls=tls) as back:
            assert not back.subscribe(f"{OWN}/ack")
            assert not back.publish(f"{OWN}/reading")


def test_a_revoked_meter_stays_out_over_a_restart_and_others_stay_in(store: Path, tmp_path: Path) -> None:
    tls = meter_context(store, identities.load(store, "m001"), tmp_path)
    for name in ("m003", "m004"):
        issue(store, name)
    pumasi("meter", "revoke", "m001", "m003", "--store", store)  # with no broker running
    with BrokerProcess(store), meter(store, "m002", tmp_path) as other:
        assert other.publish(f"pumasi/1/{COMMUNITY}/m002/reading")
        pumasi("meter", "revoke", "m004", "--store", store)
        for name in ("m001", "m003", "m004"):
            revoked = meter_context(store, identities.load(store, name), tmp_path)
            until(lambda revoked=revoked: not lets_in(site.load(store).port, revoked))
        with pytest.raises(RefusedError), Client(site.load(store).port, tls=tls):
            pass
    assert len(certificates.revoked_serials(site.revocation_list(store))) == 3


def lets_in(port: int, tls: ssl.SSLContext) -> bool:
    try:
        with Client(port, tls=tls):
            return True
    except RefusedError:
        return False


def test_a_meter_issued_while_the_broker_runs_gets_in(store: Path, tmp_path: Path) -> None:
    with BrokerProcess(store):
        issued = issue(store, "m005")
        Live(store).let_in(issued)
        with meter(store, "m005", tmp_path) as client:
            assert client.publish(f"pumasi/1/{COMMUNITY}/m005/reading")
            changed = msgspec.structs.replace(issued[0], settings={"home_assistant": True})
            Live(store).change_rights([changed])
            assert client.publish(f"homeassistant/sensor/{COMMUNITY}_m005/import/config")
        # Mosquitto has written its file anew: it stays private.
        rules = site.directory(store) / "dynamic-security.json"
        assert b"m005" in rules.read_bytes() and stat.S_IMODE(rules.stat().st_mode) == 0o600


# enrolment and the hub


def test_a_meter_enrols_with_its_code_and_connects_with_what_it_was_given(store: Path, tmp_path: Path) -> None:
    now = int(time.time())
    text = enrolment.qr_text(store, new_token(store, "m001", now))
    kind, version, host, port, token, digest = text.split(":")
    place = site.load(store)
    assert (kind, version, host, int(port)) == ("PUMASI", "1", "LOCALHOST", place.hub_port)
    with BrokerProcess(store) as running_broker:
        blind = ssl.create_default_context()
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host.lower(), int(port), timeout=10, context=blind)
        connection.request("GET", "/ca.der")
        authority = connection.getresponse().read()
        connection.close()
        assert hashlib.sha256(authority).hexdigest().upper() == digest
        status, headers, body = request(store, "POST", "/enrol", json.dumps({"token": token}).encode())
        assert status == 200 and len(body) <= 8192
        assert headers["content-length"] == str(len(body)) and headers["connection"] == "close" and headers["date"]
        answer = json.loads(body)
        config = answer["config"]
        assert config["broker"] == {
            "host": "localhost",
            "port": place.port,
            "tls": True,
            "user": None,
            "password": None,
        }
        assert (config["community"], config["meter"], config["kid"]) == (COMMUNITY, "m001", 1)
        assert config["key"] == identities.load(store, "m001").key
        assert config["hub"] == f"https://localhost:{place.hub_port}"
        assert "wifi" not in config and "label_password" not in config
        pair = {}
        for name in ("client", "client_key", "ca"):
            pair[name] = base64.b64decode(answer[name])
        assert pair["ca"] == authority
        tls = der_context(store, pair["client"], pair["client_key"], tmp_path)
        with Client(place.port, tls=tls) as client:
            assert client.publish(f"{OWN}/reading")
        running_broker.wait_for("m001 has enrolled")
        again = request(store, "POST", "/enrol", json.dumps({"token": token}).encode())
        assert (again[0], json.loads(again[2])) == (403, {"problem": "token-used"})
        until(lambda: counted(store, "token-used") == 1)
    assert identities.load(store, "m001").handed_over_at is not None


def der_context(store: Path, certificate: bytes, key: bytes, tmp: Path) -> ssl.SSLContext:
    def as_pem(kind: str, content: bytes) -> bytes:
        return f"-----BEGIN {kind}-----\n{base64.encodebytes(content).decode()}-----END {kind}-----\n".encode()

    made: ssl.SSLContext = context(store, as_pem("CERTIFICATE", certificate), as_pem("EC PRIVATE KEY", key), tmp)
    return made


def test_a_new_certificate_ends_the_old_one_when_the_meter_has_it(store: Path, tmp_path: Path) -> None:
    old = meter_context(store, identities.load(store, "m001"), tmp_path)
    place = site.load(store)
    with BrokerProcess(store):
        done = pumasi("meter", "rotate", "m001", "--certificate", "--json", "--store", store)
        code = json.loads(done.out)[0]["code"]
        with Client(place.port, tls=old) as client:
            assert client.publish(f"{OWN}/reading")
        new = meter_context(store, identities.load(store, "m001"), tmp_path)
        assert request(store, "POST", "/enrol", json.dumps({"token": code.split(":")[4]}).encode())[0] == 200
        until(lambda: not lets_in(place.port, old))
        assert lets_in(place.port, new)


def test_a_signed_bundle_is_served_and_nothing_beside_it(shared: tuple[Path, Site]) -> None:
    store, _ = shared
    folder = site.directory(store) / "firmware"
    write_private(folder / "0.2.0", bytes(range(256)) * 100)
    write_private(folder / "signing.pem", b"secret")
    status, headers, body = request(store, "GET", "/firmware/0.2.0")
    assert (status, len(body), headers["content-length"]) == (200, 25_600, "25600")
    status, headers, body = request(store, "GET", "/firmware/0.2.0", range="bytes=25590-")
    assert (status, body) == (206, bytes(range(246, 256)))
    for path in ("signing.pem", "9.9.9", "../server.key", "%2e%2e/server.key", "..%2fserver.key", "0.2.0/"):
        status, _, body = request(store, "GET", f"/firmware/{path}")
        assert status in (307, 404) and b"secret" not in body and b"PRIVATE" not in body, path


# renewal


def test_a_server_certificate_that_runs_out_is_renewed_at_the_start(store: Path) -> None:
    authority, folder = site.authority(store), site.directory(store)
    key = certificates.read_key((folder / "server.key").read_bytes())
    old = certificates.server_certificate(authority, key, ["localhost"], site.now() - dt.timedelta(days=2 * 365 - 9))
    write_private(folder / "server.pem", certificates.pem(old))
    said: list[str] = []
    renewal.renew_if_due(store, said.append)
    assert said[0].startswith("server certificate for localhost, 127.0.0.1: valid until ")
    assert certificates.days_left(site.certificate(store, "server"), site.now()) > 700
    said.clear()
    renewal.renew_if_due(store, said.append)
    assert said == []
    # Without the authority's key it goes on, and says what is to be done.
    write_private(folder / "server.pem", certificates.pem(old))
    (folder / "ca.key").rename(folder / "elsewhere")
    renewal.renew_if_due(store, said.append)
    assert len(said) == 1
    assert said[0].startswith("the server's certificate ends in 8 days and cannot be renewed: ")
    assert "bring it back from its safe place" in said[0]


def test_broker_and_hub_show_a_renewed_certificate_without_a_restart(store: Path, tmp_path: Path) -> None:
    place = site.load(store)
    with BrokerProcess(store) as running_broker, meter(store, "m001", tmp_path) as client:
        broker = running_broker.child()
        before = {port: shown(store, port) for port in (place.port, place.hub_port)}
        said = pumasi(
            "broker", "renew", "--host", "localhost", "--host", HOST, "--host", "meters.test", "--store", store
        )
        assert "meters.test: valid until" in said.out
        running_broker.wait_for("certificate and revocation list are read again")
        for port in (place.port, place.hub_port):
            until(lambda port=port: shown(store, port) != before[port])
        assert client.publish(f"{OWN}/reading")
        assert running_broker.child() == broker
    assert site.load(store).hosts == ["localhost", HOST, "meters.test"]


def shown(store: Path, port: int) -> str:
    """The serial number of the certificate that is shown on the port."""
    with (
        socket.create_connection((HOST, port)) as plain,
        context(store).wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        certificate = wrapped.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


# ends, crashes, restarts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_broker_and_hub_quietly(store: Path, tmp_path: Path, number: signal.Signals) -> None:
    place = site.load(store)
    running_broker = BrokerProcess(store, program=WHOLE_COMMAND)
    with running_broker, meter(store, "m001", tmp_path) as client:
        child = running_broker.child()
        assert running(store) is not None
        began = time.monotonic()
        assert running_broker.stop(number) == 0
        assert time.monotonic() - began < 5
        assert client.gone.wait(5)
    assert running_broker.said[-1] == "stopping"
    assert not any("Traceback" in line or "rror" in line for line in running_broker.said)
    assert not Path(f"/proc/{child}").exists()
    assert running(store) is None
    with pytest.raises(RefusedError), Client(place.loopback_port, "x", "y"):
        pass


def test_what_is_retained_and_queued_survives_a_restart(store: Path, tmp_path: Path) -> None:
    count = 3000  # more than Mosquitto's default queue of 1000 holds
    with BrokerProcess(store):
        with market(store, clean=False) as listener:
            assert listener.subscribe(f"pumasi/1/{COMMUNITY}/+/reading")
            assert listener.publish(f"{OWN}/ack", b"kept", retain=True)
        with meter(store, "m001", tmp_path) as client:
            for number in range(count - 1):
                client._client.publish(f"{OWN}/reading", str(number).encode(), qos=1)
            for _ in range(count - 1):
                assert client._answers.get(timeout=10) == "acknowledged"
            assert client.publish(f"{OWN}/reading", str(count - 1).encode())
    with BrokerProcess(store):
        with market(store, clean=False) as listener:
            heard = [int(listener.received.get(timeout=10)[1]) for _ in range(count)]
        assert heard == list(range(count))
        with meter(store, "m001", tmp_path) as client:
            assert retained(client, f"{OWN}/ack") == b"kept"


def test_a_broker_that_dies_ends_the_hub_and_says_so(store: Path, tmp_path: Path) -> None:
    with BrokerProcess(store) as running_broker:
        os.kill(running_broker.child(), signal.SIGKILL)
        running_broker.wait_for("the broker has ended, status -9")
        assert running_broker.process is not None
        assert running_broker.process.wait(10) == 1
    with BrokerProcess(store), meter(store, "m001", tmp_path) as client:  # the same files serve again
        assert client.publish(f"{OWN}/reading")


def test_a_killed_run_leaves_no_broker_behind(store: Path, tmp_path: Path) -> None:
    with BrokerProcess(store) as running_broker:
        child = running_broker.child()
        running_broker.stop(signal.SIGKILL)
    until(lambda: not Path(f"/proc/{child}").exists())
    assert running(store) is None
    with BrokerProcess(store), meter(store, "m001", tmp_path) as client:
        assert client.publish(f"{OWN}/reading")


def test_one_broker_for_a_store_and_a_taken_port_is_named(store: Path, tmp_path: Path) -> None:
    place = site.load(store)
    with BrokerProcess(store):
        second = pumasi("broker", "run", "--store", store)
        assert (second.status, second.errors) == (2, f"pumasi: {store}: a broker runs here already\n")
        other = tmp_path / "other"
        make_site(other, loopback_port=place.loopback_port)
        taken = pumasi("broker", "run", "--store", other)
        assert taken.status == 2
        assert taken.errors == f"pumasi: port {place.loopback_port} on {HOST} is taken\n"
        make_site(tmp_path / "third", hub_port=place.hub_port)
        taken = pumasi("broker", "run", "--store", tmp_path / "third")
        assert taken.status == 2
        assert taken.errors == f"pumasi: hub port {place.hub_port}: Address already in use\n"


# without Mosquitto

NO_MOSQUITTO = """
import sys
from broker import mosquitto
mosquitto.find = lambda: None
from market.commands.main import main
sys.exit(main())
"""


def test_without_mosquitto_the_embedded_broker_serves_on_loopback_only(tmp_path: Path) -> None:
    store = tmp_path / "store"
    place = make_site(store, bind=None)
    first, second = issue(store, "m001", "m002")
    with BrokerProcess(store, program=("-c", NO_MOSQUITTO)) as running_broker:
        assert "there is no Mosquitto on this machine (apt-get install mosquitto" in running_broker.said[0]
        assert listening(running_broker.child(), place.loopback_port) == {"0100007F"}
        assert running_broker.process is not None
        assert listening(running_broker.process.pid, place.hub_port) == {"0100007F"}
        assert not accepts(place.port)
        with (
            market(store) as listener,
            Client(place.loopback_port, first.user, first.password) as meter,
            Client(place.loopback_port, second.user, second.password) as other,
        ):
            assert listener.subscribe(f"pumasi/1/{COMMUNITY}/+/reading")
            assert meter.publish(f"{OWN}/reading", b"good")
            assert listener.received.get(timeout=5) == (f"{OWN}/reading", b"good")
            # Revoked: it keeps its connection here, and no right.
            assert pumasi("meter", "revoke", "m001", "--store", store).status == 0
            meter.publish(f"{OWN}/reading", b"bad")
            assert other.publish(f"pumasi/1/{COMMUNITY}/m002/reading", b"fence")
            assert listener.until(f"pumasi/1/{COMMUNITY}/m002/reading") == []
        with pytest.raises(RefusedError), Client(place.loopback_port, first.user, first.password):
            pass
        (third,) = issue(store, "m003")
        Live(store).let_in([third])
        with Client(place.loopback_port, third.user, third.password) as meter:
            assert meter.publish(f"pumasi/1/{COMMUNITY}/m003/reading")
        assert running_broker.stop() == 0


def listening(pid: int, port: int) -> set[str]:
    """The addresses on which the process's network listens on the port, as /proc writes them."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, number = local.rsplit(":", 1)
            if state == "0A" and int(number, 16) == port:
                found.add(address)
    return found


def test_mosquitto_without_the_plugin_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosquitto, "find_plugin", lambda program: None)
    done = pumasi("broker", "run", "--store", store)
    assert done.status == 2
    assert "its plugin mosquitto_dynamic_security.so is missing; it comes with Mosquitto 2.0" in done.errors


def test_the_plugin_is_found_on_the_machine_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = tmp_path / "part"
    plugin = unpacked / "root" / "usr" / "lib" / "x86_64-linux-gnu" / mosquitto.PLUGIN
    plugin.parent.mkdir(parents=True)
    (unpacked / "bin").mkdir()
    assert mosquitto.find_plugin(unpacked / "bin" / "mosquitto") is None
    plugin.touch()
    assert mosquitto.find_plugin(unpacked / "bin" / "mosquitto") == plugin


def test_a_broker_that_does_not_start_says_why(store: Path) -> None:
    crl = (site.directory(store) / "crl.pem").read_bytes()
    write_private(site.directory(store) / "crl.pem", b"")
    done = pumasi("broker", "run", "--store", store)
    assert (done.status, done.errors.count("\n")) == (2, 1)
    assert "crl.pem: not a revocation list" in done.errors
    write_private(site.directory(store) / "crl.pem", crl)
    write_private(site.directory(store) / "mosquitto.db", b"damaged")
    done = pumasi("broker", "run", "--store", store)
    assert done.status == 2
    assert done.errors.splitlines()[-1].startswith("pumasi: the broker does not start: Error")


def test_a_queue_past_its_bytes_is_told_to_the_market(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mosquitto drops then what it has acknowledged; the meters, which keep it, send it again."""
    monkeypatch.setattr(mosquitto, "MAX_QUEUED_BYTES", 20_000)
    program = mosquitto.find()
    assert program is not None
    place, folder = site.load(store), site.directory(store)
    mosquitto_files(store, place, program)
    settings = folder / "mosquitto.conf"
    write_private(settings, settings.read_text() + "sys_interval 1\n")
    told: list[str] = []
    connected = threading.Event()
    command = [str(program), "-c", str(settings)]
    with RunningBroker("mosquitto", place.loopback_port, command, tmp_path / "log") as broker:
        broker.start()
        until(lambda: accepts(place.port))
        with meter(store, "m002", tmp_path, clean=False) as away:
            assert away.subscribe(f"pumasi/1/{COMMUNITY}/m002/ack")
        link = Link(
            COMMUNITY,
            HOST,
            place.loopback_port,
            site.accounts(store).market,
            None,
            deliver=lambda received: None,
            connected=connected.set,
            notice=told.append,
        )
        link.start()
        try:
            assert connected.wait(10)
            time.sleep(1.5)  # until the broker has told its figures once
            for _ in range(400):
                link.publish(Message(f"pumasi/1/{COMMUNITY}/m002/ack", b"x" * 250), retain=False)
            until(lambda: told)
        finally:
            link.stop()
    assert re.fullmatch(r"the broker's queue is full: \d+ messages dropped; the meters send them again", told[0])
