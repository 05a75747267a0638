"""`pumasi broker` and `pumasi meter` on a store whose broker does not run; the running one: test_serve, test_whole."""

from __future__ import annotations

import argparse
import json
import ssl
import stat
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from cryptography import x509

from broker import certificates, enrolment, identities, settings, site
from broker.contract import Reading
from broker.keys import master_key, meter_key, rotate, sign
from broker.site import SiteError
from market.commands import broker as broker_command
from market.commands.errors import CommandError
from market.record import Record
from market.service.ingest import Ingest, Message
from tests.broker.stores import COMMUNITY, Done, document, pumasi

HOUR_S = 3600


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A new store with three members and a broker."""
    path = tmp_path / "store"
    (tmp_path / "community.json").write_text(json.dumps(document(3)))
    done = pumasi("broker", "init", "--store", path, "--host", "Hub.Local.", "--community", tmp_path / "community.json")
    assert done.status == 0, done.errors
    return path


def run(store: Path, *words: object) -> Done:
    return pumasi(*words, "--store", store)


def refused(store: Path, *words: object) -> str:
    """The one line that says why, and that nothing was changed."""
    before = contents(store)
    done = run(store, *words)
    assert (done.status, done.out) == (2, "")
    assert contents(store) == before
    assert done.errors.startswith("pumasi: ") and done.errors.count("\n") == 1
    return done.errors.removeprefix("pumasi: ").strip()


def contents(store: Path) -> dict[str, bytes]:
    """Files that hold something; SQLite's own bookkeeping and locks aside."""
    return {
        str(path): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and not path.name.endswith((".lock", "-shm", "-wal"))
    }


def members_of(store: Path) -> dict[str, list[dict[str, Any]]]:
    record = Record(store, read_only=True)
    try:
        return {member["household"]: member["meters"] for member in record.document()["members"]}
    finally:
        record.close()


# pumasi broker init


def test_init_again_as_it_was_begun_changes_nothing(tmp_path: Path) -> None:
    path, community = tmp_path / "store", tmp_path / "community.json"
    community.write_text(json.dumps(document(3)))
    words = ("broker", "init", "--host", "hub.local", "--community", community)
    assert run(path, *words, "--port", 8884, "--bind", "127.0.0.1").status == 0
    before = contents(path)
    for again in (words, words[:4], (*words, "--port", 8884)):
        done = run(path, *again)
        assert (done.status, done.out) == (0, f"{site.directory(path)}: complete, nothing to do\n"), done.errors
    assert contents(path) == before
    community.write_text(json.dumps(document(2)))
    assert f"{community}: is not what " in refused(path, *words)


def test_init_makes_a_private_complete_directory_and_the_second_time_nothing(store: Path) -> None:
    folder = site.directory(store)
    made = {"ca.pem", "ca.key", "server.pem", "server.key", "crl.pem", "market.pem", "market.key", "accounts.json"}
    assert made <= {path.name for path in folder.iterdir()}
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    before = contents(store)
    done = run(store, "broker", "init", "--host", "hub.local")
    assert (done.status, done.out) == (0, f"{folder}: complete, nothing to do\n")
    assert contents(store) == before
    assert site.load(store).hosts == ["hub.local"]


def test_init_that_broke_off_is_completed_with_the_same_authority(store: Path) -> None:
    folder = site.directory(store)
    authority = (folder / "ca.pem").read_bytes()
    for name in ("broker.json", "accounts.json", "server.pem", "crl.pem", "market.key", "market.pem"):
        (folder / name).unlink()
    assert run(store, "broker", "init", "--host", "hub.local").status == 0
    assert (folder / "ca.pem").read_bytes() == authority
    server = site.certificate(store, "server")
    server.verify_directly_issued_by(site.certificate(store, "ca"))
    key = certificates.read_key((folder / "market.key").read_bytes())
    assert site.certificate(store, "market").public_key() == key.public_key()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--host", "other"], "there is a broker with hosts hub.local, not other; nothing is overwritten"),
        (["--host", "hub.local", "--port", "8884"], "there is a broker with port 8883, not 8884"),
        (["--host", "hub.local", "--bind", "127.0.0.1"], "there is a broker with bind None, not 127.0.0.1"),
        (["--host", "two words"], "--host two words: not a DNS name"),
        (["--host", "-x"], "--host -x: not a DNS name"),
        (["--host", "300.1.2.3"], "--host 300.1.2.3: not an IPv4 address"),
        (["--host", "fd00::1"], "--host fd00::1: an IPv6 address"),
        (["--host", "a" * 65], "not a DNS name of at most 64 characters"),
        (["--host", "hub.local", "--port", "0"], "--port 0: no port"),
        (["--host", "hub.local", "--hub-port", "8883"], "--port, --hub-port and --loopback-port: must differ"),
    ],
)
def test_init_refuses(store: Path, words: list[str], reason: str) -> None:
    if words[1] == "-x":
        words = ["--host=-x"]
    assert reason in refused(store, "broker", "init", *words)


def test_init_needs_a_community(tmp_path: Path) -> None:
    done = pumasi("broker", "init", "--store", tmp_path / "new", "--host", "hub.local")
    assert done.status == 2 and "there is no record here" in done.errors
    assert not (tmp_path / "new" / "broker").exists()


def test_every_command_names_a_store_without_a_broker(tmp_path: Path) -> None:
    (tmp_path / "community.json").write_text(json.dumps(document(1)))
    for words in (["broker", "run"], ["broker", "renew"], ["broker", "show"], ["meter", "add", "--all"]):
        done = pumasi(*words, "--store", tmp_path)
        assert done.status == 2
        assert done.errors == (
            f"pumasi: {tmp_path}: there is no broker here; make one: pumasi broker init --store {tmp_path}\n"
        )


def test_show_says_what_there_is_and_how_long(store: Path) -> None:
    shown = json.loads(run(store, "broker", "show", "--json").out)
    assert shown["community"] == COMMUNITY and shown["running"] is None
    assert {name: days // 365 for name, days in shown["valid_days"].items()} == {
        "authority": 24, "server": 1, "market": 24,
    }  # fmt: skip
    assert "certificate of the server: 729 days left" in run(store, "broker", "show").out


# how the market reaches the broker


def arguments(store: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    broker_command.add_access(parser)
    parsed = parser.parse_args([str(word) for word in words])
    parsed.store = store
    return parsed


def test_the_market_finds_the_broker_of_its_store(store: Path, tmp_path: Path) -> None:
    reach = broker_command.access(arguments(store), {})
    assert (reach.name, reach.host, reach.port, reach.tls) == ("_market", "127.0.0.1", 1883, None)
    assert reach.password == site.accounts(store).market
    listening = broker_command.access(arguments(store), {}, listen_only=True)
    assert (listening.name, listening.password) == ("_reader", site.accounts(store).reader)
    given = broker_command.access(arguments(store, "--broker", "hub:1884"), {"PUMASI_BROKER_PASSWORD": "x"})
    assert (given.host, given.port, given.password) == ("hub", 1884, "x")
    elsewhere = broker_command.access(arguments(tmp_path), {})
    assert (elsewhere.host, elsewhere.port, elsewhere.password) == ("127.0.0.1", 1883, None)


def test_the_market_on_another_machine_shows_its_certificate(store: Path) -> None:
    folder = site.directory(store)
    files = [f"--broker-{name}={folder / file}" for name, file in
             (("ca", "ca.pem"), ("certificate", "market.pem"), ("key", "market.key"))]  # fmt: skip
    reach = broker_command.access(arguments(store, "--broker", "hub.local:8883", *files), {})
    assert isinstance(reach.tls, ssl.SSLContext) and reach.password is None
    for given, reason in (
        (files[:2], "belong together"),
        ([f"--broker-ca={folder / 'nothing'}", *files[1:]], "nothing: No such file or directory"),
        ([f"--broker-ca={folder / 'ca.key'}", *files[1:]], "ca.key: not a certificate"),
        ([*files[:2], f"--broker-key={folder / 'ca.key'}"], "not a certificate or key"),
    ):
        with pytest.raises(CommandError, match=reason):
            broker_command.access(arguments(store, *given), {})


@pytest.mark.parametrize("address", ["hub", "hub:", ":1883", "hub:0", "hub:65536", "hub:x"])
def test_what_is_no_address_is_named(store: Path, address: str) -> None:
    with pytest.raises(CommandError, match=f"--broker {address}: "):
        broker_command.access(arguments(store, "--broker", address), {})


# pumasi meter add, list, show, label


def test_every_member_gets_an_identity_and_a_label(store: Path) -> None:
    done = run(store, "meter", "add", "--all", "--json")
    labels = json.loads(done.out)
    assert [label["meter"] for label in labels] == ["m001", "m002", "m003"]
    master = master_key(store / "master.key")
    for label in labels:
        identity = identities.load(store, label["meter"])
        assert bytes.fromhex(identity.key) == meter_key(master, COMMUNITY, label["meter"], 1, {})
        assert label["code"].startswith("PUMASI:1:HUB.LOCAL:8443:")
        assert label["label_password"] == identity.label_password and len(identity.label_password) == 12
    assert len({label["code"] for label in labels}) == 3
    assert members_of(store)["h001"] == [meter | {"since": 0} for meter in members_of(store)["h001"]]
    again = run(store, "meter", "add", "--all", "--json")
    assert (again.status, json.loads(again.out)) == (0, [])
    listed = json.loads(run(store, "meter", "list", "--json").out)
    assert [(row["meter"], row["household"], row["state"]) for row in listed] == [
        ("m001", "h001", "may enrol"), ("m002", "h002", "may enrol"), ("m003", "h003", "may enrol"),
    ]  # fmt: skip
    assert [row["last_heard"] for row in listed] == [None, None, None]
    assert "m002   h002       may enrol" in run(store, "meter", "list").out
    record = Record(store)
    with record.transaction():
        for start in (1_790_000_100, 1_790_001_000):
            record.add_reading("m002", Reading(1, 1, "0" * 16, 0, 0, start, 900, 0, 0, 0, 0, [], ""), b"")
    record.close()
    _, first, second, _ = run(store, "meter", "list").out.splitlines()
    assert first.endswith("never") and second.endswith("2026-09-21 16:45")
    assert [row["last_heard"] for row in json.loads(run(store, "meter", "list", "--json").out)][1] == 1_790_001_900


def test_add_says_where_the_labels_are_and_what_comes_next(store: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    added = run(store, "meter", "add", "--all", "--qr", labels)
    assert f"the labels are in {labels}" in added.out
    assert added.out.endswith(f"next: pumasi broker run --store {store}\n")
    drawn, identity = (labels / "m001.svg").read_text(), identities.load(store, "m001")
    root = ElementTree.fromstring(drawn)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["m001", f"Wi-Fi password {identity.label_password}"]
    again = run(store, "meter", "add", "--all", "--qr", labels)
    assert again.status == 0 and again.out.startswith("every meter has an identity already")
    assert "enrol until: 2" in run(store, "meter", "show", "m001").out
    assert isinstance(json.loads(run(store, "meter", "show", "m001", "--json").out)["enrol_until"], int)


def test_what_goes_on_a_meters_flash(store: Path, tmp_path: Path) -> None:
    said = tmp_path / "settings.json"
    said.write_text('{"sensors": [{"role": "grid", "driver": "sdm"}], "board": "pumasi-s3", "ntp": ["ntp.local"]}')
    assert run(store, "meter", "add", "m001", "--settings", said).status == 0
    files = identities.flash_files(store, "m001")
    assert set(files) == {"config.json", "label.json", "ca.der", "client.der", "client.key.der"}
    config = json.loads(files["config.json"])
    assert config["sensors"] == [{"role": "grid", "driver": "sdm"}]
    assert (config["board"], config["ntp"], config["interval_s"]) == ("pumasi-s3", ["ntp.local"], 900)
    assert config["label_password"] == json.loads(files["label.json"])["password"]
    certificate = x509.load_der_x509_certificate(files["client.der"])
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(files["ca.der"]))
    (site.directory(store) / "firmware" / "firmware.pub").write_bytes(b"modulus")
    assert identities.flash_files(store, "m001")["firmware.pub"] == b"modulus"
    run(store, "meter", "revoke", "m001")
    with pytest.raises(SiteError, match="m001: this meter is revoked"):
        identities.flash_files(store, "m001")
    with pytest.raises(SiteError, match="m009: no such meter; see pumasi meter list"):
        identities.flash_files(store, "m009")


def test_a_new_meter_of_a_household_and_a_new_household(store: Path) -> None:
    assert run(store, "meter", "add", "m004", "--household", "h001").status == 0
    first, second = members_of(store)["h001"]
    assert (first["meter"], second["meter"], second["kid"]) == ("m001", "m004", 1)
    assert second["since"] % 900 == 0
    place = ("--household", "h009", "--node", "root", "--tariff", "standard", "--name", "The Nines")
    assert run(store, "meter", "add", "m009", *place).status == 0
    assert [meter["meter"] for meter in members_of(store)["h009"]] == ["m009"]
    assert identities.load(store, "m009").household == "h009"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "give the meters' names, or --all"),
        (["m001", "--all"], "give the meters' names, or --all"),
        (["M001"], "M001: not a meter's name"),
        (["m004"], "m004: not in the community; say whose it is: --household"),
        (["m004", "--household", "h7"], "--household h7: no household of this community (it has h001, h002, h003, …)"),
        (["m004", "--household", "h001", "--node", "root", "--tariff", "standard"], "--household h001: is a member"),
        (["m004", "--household", "h7", "--node", "root"], "a new household needs --node and --tariff"),
        (["m004", "--household", "h7", "--node", "n", "--tariff", "standard"], "members: h7: its node n is unknown"),
        (["m004", "--household", "h001", "--since", "7"], "its meter m004 counts from 7, which is no interval's start"),
        (["m001", "--settings", "no.json"], "no.json: No such file or directory"),
        (["m001", "m002", "m009"], "m009: not in the community"),
    ],
)
def test_add_refuses_and_leaves_nothing_behind(store: Path, words: list[str], reason: str) -> None:
    (store / "master.key").unlink(missing_ok=True)
    assert reason in refused(store, "meter", "add", *words)


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "not JSON"), ("[]", "not a JSON object"), ('{"key": "00"}', "key cannot be set; known: board, clock,")],
)
def test_a_settings_file_that_cannot_be_used_is_named(store: Path, tmp_path: Path, content: str, reason: str) -> None:
    said = tmp_path / "settings.json"
    said.write_text(content)
    assert f"{said}: {reason}" in refused(store, "meter", "add", "m001", "--settings", said)


def test_a_second_identity_is_refused_and_a_new_label_ends_the_old(store: Path, tmp_path: Path) -> None:
    first = json.loads(run(store, "meter", "add", "m001", "--json").out)[0]
    assert "m001: has an identity already (a new label: pumasi meter label m001)" in refused(
        store, "meter", "add", "m001"
    )
    done = run(store, "meter", "label", "m001", "--qr", tmp_path / "labels", "--json")
    second = json.loads(done.out)[0]
    assert second["code"] != first["code"] and second["label_password"] == first["label_password"]
    with pytest.raises(enrolment.RefusedError, match="token-unknown"):
        enrolment.redeem(store, first["code"].split(":")[4], 0)
    png, svg = (tmp_path / "labels" / f"m001.{kind}" for kind in ("png", "svg"))
    assert png.read_bytes().startswith(b"\x89PNG") and b"<svg" in svg.read_bytes()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (png, svg)] == [0o600, 0o600]


def test_show_tells_no_secrets(store: Path) -> None:
    run(store, "meter", "add", "m001")
    identity = identities.load(store, "m001")
    shown = run(store, "meter", "show", "m001").out + run(store, "meter", "show", "m001", "--json").out
    assert "household: h001" in shown
    for secret in (identity.key, identity.password, identity.label_password, identity.private_key):
        assert secret not in shown


def test_without_the_authoritys_key_nothing_is_begun(store: Path) -> None:
    run(store, "meter", "add", "m001")
    (site.directory(store) / "ca.key").rename(store.parent / "ca.key")
    for words in (["add", "m002"], ["replace", "m001", "m007", "--registers", "0,0,0,0"], ["rotate", "m001", "--anew"]):
        assert "ca.key: the authority's key is not here; bring it back" in refused(store, "meter", *words)
    assert run(store, "meter", "list").status == 0


# pumasi meter rotate, revoke, replace, configure


def test_rotate_goes_on_to_a_key_that_follows_from_the_present_one(store: Path) -> None:
    run(store, "meter", "add", "m001")
    first = bytes.fromhex(identities.load(store, "m001").key)
    done = run(store, "meter", "rotate", "m001")
    assert done.out == "m001: is told by the market to go on to key 2; key 1 is good until it answers with it\n"
    (entry,) = members_of(store)["h001"]
    assert entry["kid"] == 2
    second = rotate(first, COMMUNITY, "m001", 2, entry["nonces"]["2"])
    assert bytes.fromhex(identities.load(store, "m001").key) == second
    # A meter that has not answered yet is told the same once more, not something else.
    assert run(store, "meter", "rotate", "m001").out == "m001: has not answered with key 2 yet; it is told once more\n"
    assert members_of(store)["h001"] == [entry]
    assert settings.load(store).of("m001").version == 2


def test_a_meter_whose_secrets_are_out_is_provisioned_anew(store: Path) -> None:
    run(store, "meter", "add", "m001")
    run(store, "meter", "rotate", "m001")
    before = identities.load(store, "m001")
    done = run(store, "meter", "rotate", "m001", "--anew", "--json")
    assert done.status == 0, done.errors
    after = identities.load(store, "m001")
    (entry,) = members_of(store)["h001"]
    assert (entry["kid"], set(entry["nonces"])) == (3, {"2"})
    assert bytes.fromhex(after.key) == meter_key(master_key(store / "master.key"), COMMUNITY, "m001", 3, {})
    assert before.serial in certificates.revoked_serials(site.revocation_list(store))
    assert after.serial not in certificates.revoked_serials(site.revocation_list(store))


def test_a_revoked_meter_comes_back_with_new_secrets_only(store: Path) -> None:
    run(store, "meter", "add", "m001", "m002")
    assert run(store, "meter", "revoke", "m001").status == 0
    assert run(store, "meter", "revoke", "m001").status == 0
    assert "m001: is revoked; let it in with new secrets" in refused(store, "meter", "rotate", "m001")
    assert "m001: is revoked" in refused(store, "meter", "label", "m001")
    assert "m009: no such meter; see pumasi meter list" in refused(store, "meter", "revoke", "m002", "m009")
    assert enrolment.open_until(store, 0).keys() == {"m002"}
    assert run(store, "meter", "rotate", "m001", "--anew").status == 0
    states = {row["meter"]: row["state"] for row in json.loads(run(store, "meter", "list", "--json").out)}
    assert states == {"m001": "may enrol", "m002": "may enrol"}


def test_a_new_device_goes_on_where_the_old_one_ended(store: Path) -> None:
    run(store, "meter", "add", "m001")
    reading(store, "m001", import_wh=5_000, export_wh=70)
    done = run(store, "meter", "replace", "m001", "m101", "--since", 4 * HOUR_S)
    assert done.status == 0, done.errors
    assert "m101 takes over from m001 with the interval that starts at 1970-01-01 04:00 UTC" in done.errors
    assert "5000 Wh import, 70 Wh export, 0 Wh generation, 0 Wh consumption" in done.errors
    assert "m001 may still send what it holds; then: pumasi meter revoke m001" in done.errors
    (entry,) = members_of(store)["h001"]
    assert (entry["meter"], entry["kid"], entry["since"]) == ("m101", 1, 4 * HOUR_S)
    assert (entry["import_wh"], entry["export_wh"]) == (5_000, 70)
    config = json.loads(identities.flash_files(store, "m101")["config.json"])
    assert config["seed"] == {"import_wh": 5_000, "export_wh": 70, "generation_wh": 0, "consumption_wh": 0}
    record = Record(store, read_only=True)
    try:  # the old one's own intervals are still its
        assert next(m["meter"] for member in record.document(0)["members"] for m in member["meters"]) == "m001"
    finally:
        record.close()
    assert identities.load(store, "m001").revoked_at is None


def test_replace_takes_registers_that_are_read_off_and_may_revoke(store: Path) -> None:
    run(store, "meter", "add", "m001")
    assert "no reading of it is stored; say where the new meter begins" in refused(
        store, "meter", "replace", "m001", "m101"
    )
    for registers in ("1,2,3", "1,2,3,x", "1,2,3,-4", f"1,2,3,{2**53}"):
        reason = refused(store, "meter", "replace", "m001", "m101", "--registers", registers)
        assert f"--registers {registers}: not four numbers" in reason
    assert "m002: is a meter already" in refused(store, "meter", "replace", "m001", "m002", "--registers", "1,2,3,4")
    assert "m009: no meter of this community" in refused(
        store, "meter", "replace", "m009", "m101", "--registers", "1,2,3,4"
    )
    assert run(store, "meter", "replace", "m001", "m101", "--registers", "1,2,3,4", "--revoke").status == 0
    assert identities.load(store, "m001").revoked_at is not None
    (entry,) = members_of(store)["h001"]
    assert [entry[f"{name}_wh"] for name in ("import", "export", "generation", "consumption")] == [1, 2, 3, 4]


def test_a_name_that_comes_back_never_has_an_old_key(store: Path) -> None:
    run(store, "meter", "add", "m001", "m101", "--household", "h001")
    run(store, "meter", "rotate", "m101")
    run(store, "meter", "replace", "m101", "m102", "--registers", "0,0,0,0")
    (site.directory(store) / "issued" / "m101.json").unlink()
    assert run(store, "meter", "add", "m101", "--household", "h002").status == 0
    entry = members_of(store)["h002"][1]
    assert (entry["meter"], entry["kid"], set(entry["nonces"])) == ("m101", 3, {"2"})


def test_configure_counts_versions_and_refuses_what_meters_do_not_know(store: Path, tmp_path: Path) -> None:
    run(store, "meter", "add", "m001", "m002")
    said = tmp_path / "settings.json"
    said.write_text('{"limits": {"power_w": 9000}}')
    assert run(store, "meter", "configure", "m001", "--settings", said).out == "version 1: the market tells 1 meters\n"
    assert run(store, "meter", "configure", "--all", "--settings", said).out == "version 2: the market tells 2 meters\n"
    assert json.loads(identities.flash_files(store, "m002")["config.json"])["limits"] == {"power_w": 9000}
    said.write_text('{"limits": null}')
    run(store, "meter", "configure", "--all", "--settings", said)
    assert "limits" not in json.loads(identities.flash_files(store, "m002")["config.json"])
    for content, reason in (
        ('{"limits": {"power_w": -1}}', "settings: "),
        ('{"interval_s": 60}', "interval_s cannot be set; known: home_assistant, limits, sensors"),
        ('{"sensors": {"role": "grid"}}', "sensors: not a list of objects"),
        ('{"sensors": [{"role": "load", "driver": "pzem004t"}]}', "sensors: none has the role 'grid'"),
        (
            '{"sensors": [{"role": "load", "driver": "s0"}, {"role": "grid", "driver": "pzem004t", "uart": 1}]}',
            "sensors[1]: a PZEM-004T measures no direction, so at the grid it cannot tell import from export",
        ),
    ):
        said.write_text(content)
        assert reason in refused(store, "meter", "configure", "m001", "--settings", said)
        if "sensors" in content:
            assert reason in refused(store, "meter", "add", "m003", "--settings", said)
    said.write_text('{"sensors": [{"role": "grid", "driver": "sdm"}, {"role": "load", "driver": "pzem004t"}]}')
    assert run(store, "meter", "configure", "m001", "--settings", said).status == 0
    assert "give the meters' names, or --all" in refused(store, "meter", "configure", "--settings", said)


def test_a_households_home_assistant_gets_a_certificate_that_ends_with_the_meter(store: Path, tmp_path: Path) -> None:
    run(store, "meter", "add", "m001")
    out = tmp_path / "home"
    done = run(store, "meter", "home", "m001", "--out", out)
    assert done.out == (
        "m001: in Home Assistant, add the MQTT integration with broker hub.local, port 8883, client id rural3/m001.home"
        f" and the files in {out}\n"
    )
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {
        "ca.pem": 0o600, "client.pem": 0o600, "client.key": 0o600,
    }  # fmt: skip
    certificate = x509.load_pem_x509_certificate((out / "client.pem").read_bytes())
    key = certificates.read_key((out / "client.key").read_bytes())
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=rural3/m001.home"
    assert settings.load(store).of("m001").members == {"home_assistant": True}
    assert json.loads(identities.flash_files(store, "m001")["config.json"])["home_assistant"] is True
    assert f"--out {out}: is not empty" in refused(store, "meter", "home", "m001", "--out", out)
    assert run(store, "meter", "home", "m001", "--out", tmp_path / "again").status == 0
    assert set(certificates.revoked_serials(site.revocation_list(store))) == {certificate.serial_number}
    run(store, "meter", "revoke", "m001")
    assert len(certificates.revoked_serials(site.revocation_list(store))) == 3
    assert "m001: is revoked" in refused(store, "meter", "home", "m001", "--out", tmp_path / "third")


def reading(store: Path, meter: str, **registers: int) -> None:
    """One reading, stored as the market does it."""
    identity = identities.load(store, meter)
    name = f"pumasi/1/{COMMUNITY}/{meter}/reading"
    values = {name: registers.get(name, 0) for name in ("import_wh", "export_wh", "generation_wh", "consumption_wh")}
    body = {"v": 1, "kid": 1, "outbox": "0" * 16, "seq": 0, "first": 0, "start": HOUR_S, "length": 900}
    payload = sign(bytes.fromhex(identity.key), name, json.dumps({**body, **values, "flags": []}).encode())
    record = Record(store)
    try:
        ingest = Ingest(record, master_key(store / "master.key"))
        assert ingest.store([Message(name, payload)], now=2 * HOUR_S, closed_before=0).outcomes["stored"] == 1
    finally:
        record.close()
