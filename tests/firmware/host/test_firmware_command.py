"""``pumasi firmware``: from the key to the offer in the meters' configuration."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest

from broker import identities, settings
from broker.initialise import initialise
from broker.keys import derive_key
from broker.site import Site
from firmware.host import bundle
from market.commands import main


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    initialise(store, Site("c", 900, ["localhost"], port=28883, loopback_port=21883, hub_port=28443, bind="127.0.0.1"))
    identities.issue(store, "m001", "h001", 1, derive_key(bytes(32), "c", "m001", 1))
    return store


def run(*arguments: object) -> int:
    return main(["firmware", *map(str, arguments)])


def test_key_bundle_sign_offer(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built, place = tmp_path / "built", store / "broker" / "firmware"
    assert run("key", "--store", store) == 0
    assert stat.S_IMODE((place / "signing.pem").stat().st_mode) == 0o600
    assert len((place / "firmware.pub").read_bytes()) == 384
    assert identities.flash_files(store, "m001")["firmware.pub"] == (place / "firmware.pub").read_bytes()
    assert run("bundle", "--out", built) == 0
    assert run("sign", built, "--store", store) == 0
    version = bundle.version_of()
    whole = (place / version).read_bytes()
    assert bundle.read_bundle(whole, (place / "firmware.pub").read_bytes()).version == version
    assert run("sign", built, "--store", store) == 0  # the same again is the same
    assert run("offer", version, "--store", store, "--meter", "m001") == 0
    offered = settings.load(store).of("m001").members["firmware"]
    digest = hashlib.sha256(whole).hexdigest()
    assert offered == {"version": version, "path": f"/firmware/{version}", "size": len(whole), "sha256": digest}
    assert settings.load(store).of("m002").members == {}
    assert run("offer", version, "--store", store) == 0
    assert settings.load(store).of("m002").members["firmware"] == offered
    assert run("offer", "none", "--store", store, "--meter", "m001") == 0
    assert "all meters: firmware" in capsys.readouterr().out


def test_an_older_version_is_not_offered_after_a_newer(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = store / "broker" / "firmware"
    assert run("key", "--store", store) == 0
    key = bundle.load_key(place / "signing.pem")
    for version in ("0.2.0", "0.10.0"):
        (place / version).write_bytes(bundle.make_bundle(version, {"meter.mpy": b"M"}, key))
    assert run("offer", "0.10.0", "--store", store) == 0
    assert run("offer", "0.2.0", "--store", store) == 2
    assert "0.10.0 was offered already, and meters refuse to go back to 0.2.0" in capsys.readouterr().err
    assert settings.load(store).of("m001").members["firmware"]["version"] == "0.10.0"


def test_what_is_not_signed_or_not_ours_is_not_offered(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = store / "broker" / "firmware"
    assert run("offer", "0.2.0", "--store", store) == 2
    assert "firmware 0.2.0 has not been signed; there is none yet" in capsys.readouterr().err
    assert run("key", "--store", store) == 0
    other = bundle.make_key(tmp_path / "other.pem")
    (place / "0.2.0").write_bytes(bundle.make_bundle("0.2.0", {"meter.mpy": b"M"}, other))
    assert run("offer", "0.2.0", "--store", store) == 2
    assert "not signed with this community's key" in capsys.readouterr().err
    (place / "0.3.0").write_bytes(bundle.make_bundle("0.2.0", {}, bundle.load_key(place / "signing.pem")))
    assert run("offer", "0.3.0", "--store", store) == 2
    assert "holds firmware 0.2.0" in capsys.readouterr().err
    assert run("offer", "0.3.0", "--store", store, "--meter", "m009") == 2
    assert settings.load(store).version == 0


def test_a_folder_that_was_changed_is_not_signed(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = tmp_path / "built"
    assert run("key", "--store", store) == run("bundle", "--out", built) == 0
    assert run("bundle", "--out", built) == 2
    assert "not an empty folder" in capsys.readouterr().err
    path = built / json.loads((built / "manifest.json").read_text())["files"][0]["path"]
    path.write_bytes(path.read_bytes() + b"x")
    assert run("sign", built, "--store", store) == 2
    assert "files were changed" in capsys.readouterr().err
    assert run("key", "--store", store) == 2
    assert "not touched" in capsys.readouterr().err


def test_a_store_without_a_broker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("key", "--store", tmp_path) == 2
    assert "there is no broker here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
