"""The seal and the derivation, against published vectors and an independent implementation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from broker.keys import derive_key, master_key, meter_key, rotate, sign, verify

VECTORS = json.loads((Path(__file__).parents[2] / "broker" / "vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["derive"], ids=lambda v: f"{v['meter']}-{v['kid']}")
def test_derived_key_is_hkdf(vector: dict[str, object]) -> None:
    master = bytes.fromhex(str(vector["master"]))
    key = derive_key(master, str(vector["community"]), str(vector["meter"]), int(str(vector["kid"])))
    info = f"{vector['community']}/{vector['meter']}/{vector['kid']}".encode()
    assert key == HKDF(SHA256(), 32, b"pumasi/1", info).derive(master)
    assert key.hex() == vector["key"]


@pytest.mark.parametrize("vector", VECTORS["rotate"], ids=lambda v: f"{v['meter']}-{v['kid']}")
def test_a_rotated_key_is_hkdf_of_the_one_before(vector: dict[str, str]) -> None:
    key = bytes.fromhex(vector["key"])
    rotated = rotate(key, vector["community"], vector["meter"], int(vector["kid"]), vector["nonce"])
    info = f"{vector['community']}/{vector['meter']}/{vector['kid']}/{vector['nonce']}".encode()
    assert rotated == HKDF(SHA256(), 32, b"pumasi/1", info).derive(key)
    assert rotated.hex() == vector["next"]


def test_a_key_is_rotated_from_the_last_that_was_fresh() -> None:
    master, nonces = bytes(range(32)), {2: "11" * 16, 4: "44" * 16, 5: "55" * 16}
    fresh = [derive_key(master, "c", "m", kid) for kid in range(1, 5)]
    assert meter_key(master, "c", "m", 1, nonces) == fresh[0]
    assert meter_key(master, "c", "m", 2, nonces) == rotate(fresh[0], "c", "m", 2, nonces[2])
    assert meter_key(master, "c", "m", 3, nonces) == fresh[2]  # provisioned anew: owes nothing to the second
    fourth = rotate(fresh[2], "c", "m", 4, nonces[4])
    assert meter_key(master, "c", "m", 4, nonces) == fourth
    assert meter_key(master, "c", "m", 5, nonces) == rotate(fourth, "c", "m", 5, nonces[5])
    assert meter_key(master, "c", "m", 5, {}) == derive_key(master, "c", "m", 5)


@pytest.mark.parametrize("vector", VECTORS["seal"], ids=lambda v: v["topic"])
def test_seal_is_what_the_vectors_say(vector: dict[str, str]) -> None:
    key, topic = bytes.fromhex(vector["key"]), vector["topic"]
    sealed = sign(key, topic, vector["body"].encode())
    assert sealed.decode() == vector["sealed"]
    assert verify(key, topic, sealed)


def test_any_changed_byte_breaks_the_seal() -> None:
    vector = VECTORS["seal"][0]
    key, topic, sealed = bytes.fromhex(vector["key"]), vector["topic"], vector["sealed"].encode()
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        assert not verify(key, topic, bytes(changed)), place
    assert not verify(key, topic + "x", sealed)
    assert not verify(bytes(32), topic, sealed)
    for text in (b"", b"{}", b'{"mac":"0"}', sealed[:-1], sealed + b" "):
        assert not verify(key, topic, text)


def test_master_key_is_drawn_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    first = master_key(path)
    assert master_key(path) == first and len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ValueError, match="others can read"):
        master_key(path)
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(ValueError, match="not a master key"):
        master_key(path)
