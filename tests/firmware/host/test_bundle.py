"""The signed bundle: what it holds, what is refused, and that a meter believes the same."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from firmware.host import bundle, light_meter
from firmware.host.bundle import BundleError

FILES = {"clock.mpy": b"M\x06\x00\x1f clock", "sensors/sdm.mpy": b"M\x06\x00\x1f sdm"}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(bundle.EXPONENT, bundle.KEY_BITS)


def test_what_was_signed_reads_back(key: rsa.RSAPrivateKey) -> None:
    whole = bundle.make_bundle("0.2.0", FILES, key)
    assert whole.startswith(b"PUMASI1\n")
    length = int.from_bytes(whole[8:12], "big")
    assert len(whole) == 12 + length + 384 + sum(map(len, FILES.values()))
    said = json.loads(whole[12 : 12 + length])
    assert said["version"] == "0.2.0"
    assert [row["path"] for row in said["files"]] == ["clock.mpy", "sensors/sdm.mpy"]
    found = bundle.read_bundle(whole, bundle.public_modulus(key))
    assert (found.version, dict(found.files)) == ("0.2.0", FILES)
    assert bundle.make_bundle("0.2.0", FILES, key) == whole


def test_no_changed_byte_is_believed(key: rsa.RSAPrivateKey) -> None:
    whole = bundle.make_bundle("0.2.0", FILES, key)
    modulus = bundle.public_modulus(key)
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0x20
        with pytest.raises(BundleError):
            bundle.read_bundle(bytes(changed), modulus)
    for shorter in (0, 7, 11, 100, len(whole) - 1):
        with pytest.raises(BundleError):
            bundle.read_bundle(whole[:shorter], modulus)
    with pytest.raises(BundleError, match="after the last file"):
        bundle.read_bundle(whole + b"x", modulus)


def test_another_communitys_key_is_refused(key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(bundle.EXPONENT, bundle.KEY_BITS)
    with pytest.raises(BundleError, match="not signed with this community's key"):
        bundle.read_bundle(bundle.make_bundle("0.2.0", FILES, key), bundle.public_modulus(other))


def test_one_too_large_for_a_meter_is_not_made(key: rsa.RSAPrivateKey) -> None:
    with pytest.raises(BundleError, match="a meter takes"):
        bundle.make_bundle("0.2.0", {"a.mpy": bytes(bundle.MAX_BUNDLE_BYTES)}, key)


@pytest.mark.parametrize("version", ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "1.2.-3", "123456.0.0"])
def test_versions_that_are_none(version: str) -> None:
    with pytest.raises(BundleError, match="not three numbers"):
        bundle.checked_version(version)


def test_versions_are_ordered_as_numbers() -> None:
    assert bundle.version_order("0.10.0") > bundle.version_order("0.9.12")


def test_one_bundle_serves_every_chip() -> None:
    compiled = {chip: bundle.compile_device(chip) for chip in bundle.CHIPS}
    assert compiled["esp32"] == compiled["esp32s3"] == compiled["esp32c3"]
    files = compiled["esp32"]
    assert "meter.mpy" in files and "sensors/simulated.mpy" in files and "slots.mpy" in files
    assert not {"main.mpy", "stage.mpy"} & files.keys()
    assert len(bundle.manifest("0.1.0", files)) <= bundle.MAX_MANIFEST_BYTES
    assert sum(map(len, files.values())) < bundle.MAX_BUNDLE_BYTES


def test_the_firmware_has_the_distributions_version() -> None:
    """Meters take only a higher one: what changes between two releases must be one."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["version"] == bundle.version_of()
    assert f"{project['version']}-light" == light_meter.VERSION


def test_source_that_cannot_be_offered_to_all(tmp_path: Path) -> None:
    (tmp_path / "messages.py").write_text('VERSION = "1.2.3"\n')
    assert bundle.version_of(tmp_path) == "1.2.3"
    (tmp_path / "fast.py").write_text("import micropython\n@micropython.native\ndef f():\n    return 1\n")
    with pytest.raises(BundleError, match="machine code for one chip"):
        bundle.compile_device("esp32", tmp_path)
    (tmp_path / "fast.py").write_text("def f(:\n")
    with pytest.raises(BundleError, match="does not compile"):
        bundle.compile_device("esp32", tmp_path)
    (tmp_path / "messages.py").write_text("VERSION = 1\n")
    with pytest.raises(BundleError, match="does not say VERSION"):
        bundle.version_of(tmp_path)


def test_the_signing_key_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    made = bundle.make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bundle.public_modulus(bundle.load_key(path)) == bundle.public_modulus(made)
    with pytest.raises(BundleError, match="a key already"):
        bundle.make_key(path)
    path.chmod(0o640)
    with pytest.raises(BundleError, match="others can read"):
        bundle.load_key(path)


def test_keys_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    with pytest.raises(BundleError, match="No such file"):
        bundle.load_key(path)
    elliptic = ec.generate_private_key(ec.SECP256R1())
    for content, reason in (
        (b"nothing", "not a private key"),
        (elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "not an RSA key of 3072 bits"),
    ):
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(content)
        with pytest.raises(BundleError, match=reason):
            bundle.load_key(path)
