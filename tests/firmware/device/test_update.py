"""Updates over the air: what is refused, and what a power cut can do."""

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from firmware.host.bundle import MAGIC, make_bundle, manifest, public_modulus

FILES = {
    "link.mpy": b"link" * 700,
    "meter.mpy": bytes(range(256)) * 9,
    "sensors/one.mpy": b"one",
    "sensors/none.mpy": b"",
}


@pytest.fixture(scope="session")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


def test_a_power_cut_at_any_flash_operation_of_an_update(
    on_device: Callable[..., Any], tmp_path: Path, signing_key: rsa.RSAPrivateKey
) -> None:
    (tmp_path / "bundle").write_bytes(make_bundle("0.2.0", FILES, signing_key))
    (tmp_path / "public").write_bytes(public_modulus(signing_key))
    found = on_device("cut_update.py", "bundle", "0.2.0", "public", heap="heapsize=8M")
    assert found["operations"] > 60
    # up to the last write the old one runs, after it the new one
    assert found["outcomes"]["0.1.0"] > 3 * found["operations"] - 20
    assert 3 <= found["outcomes"]["0.2.0"] < 20


@pytest.fixture(scope="session")
def another_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


@dataclass
class Board:
    """A meter with version 0.1.0 in slot a that hears offers."""

    on_device: Callable[..., Any]
    folder: Path
    public: bytes
    running: str = "0.1.0"
    slots: bool = True
    state: dict[str, object] | None = None
    healthy_after: int = 0
    offers: list[dict[str, object]] = field(default_factory=list)

    def offer(
        self,
        whole: bytes,
        offered: str = "0.2.0",
        length: int | None = None,
        status: int = 200,
        fail: int = 0,
        **claims: object,
    ) -> None:
        number = len(self.offers) + 1
        (self.folder / f"bundle-{number}").write_bytes(whole)
        claim = {"version": offered, "path": f"/firmware/{offered}", "size": len(whole)}
        claim["sha256"] = hashlib.sha256(whole).hexdigest()
        self.offers.append(
            {"version": number, "offer": {**claim, **claims}, "bundle": f"bundle-{number}", "status": status,
             "length": length, "fail": fail}
        )  # fmt: skip

    def run(self) -> dict[str, Any]:
        (self.folder / "firmware.pub").write_bytes(self.public)
        names = ("running", "slots", "state", "healthy_after", "offers")
        (self.folder / "case.json").write_text(json.dumps({name: getattr(self, name) for name in names}))
        found: dict[str, Any] = self.on_device("try_update.py", "case.json")
        return found


@pytest.fixture
def board(on_device: Callable[..., Any], tmp_path: Path, signing_key: rsa.RSAPrivateKey) -> Board:
    return Board(on_device, tmp_path, public_modulus(signing_key))


def test_a_good_bundle_has_its_turn_at_the_next_boot(board: Board, signing_key: rsa.RSAPrivateKey) -> None:
    board.offer(make_bundle("0.2.0", FILES, signing_key), fail=2)
    found = board.run()
    # two answers are lost; the third attempt brings it
    assert found["told"] == [
        {"refused": {}, "asked": 3, "restart": True, "error": "[Errno 110] ETIMEDOUT", "ended": True}
    ]
    held = {f"b/{path}": hashlib.sha256(content).hexdigest() for path, content in FILES.items()}
    held["b/manifest.json"] = hashlib.sha256(manifest("0.2.0", FILES)).hexdigest()
    assert found["b"] == held
    assert found["whole"] == [True, True]
    assert found["state"] == {"slot": "b", "proven": False, "boots": 0, "failed": None, "offer": 1}


def test_what_runs_must_be_healthy_before_the_other_slot_is_touched(
    board: Board, signing_key: rsa.RSAPrivateKey
) -> None:
    board.healthy_after = 4
    board.offer(make_bundle("0.2.0", FILES, signing_key))
    found = board.run()
    assert found["looks"] == 5 and found["told"][0]["restart"]


def signed(text: bytes, key: rsa.RSAPrivateKey, contents: bytes = b"") -> bytes:
    head = MAGIC + struct.pack(">I", len(text)) + text
    return head + key.sign(head, padding.PKCS1v15(), hashes.SHA256()) + contents


def described(path: str, content: bytes = b"x", **changes: object) -> bytes:
    row = {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **changes}
    return json.dumps({"version": "0.2.0", "files": [row]}, separators=(",", ":")).encode()


Make = Callable[[rsa.RSAPrivateKey, rsa.RSAPrivateKey], bytes]
GOOD: Make = lambda key, _: make_bundle("0.2.0", FILES, key)  # noqa: E731


def flipped(at: int) -> Make:
    def make(key: rsa.RSAPrivateKey, _: rsa.RSAPrivateKey) -> bytes:
        whole = bytearray(GOOD(key, key))
        whole[at] ^= 1
        return bytes(whole)

    return make


def with_signature(of: Callable[[bytes, rsa.RSAPrivateKey], bytes]) -> Make:
    def make(key: rsa.RSAPrivateKey, _: rsa.RSAPrivateKey) -> bytes:
        whole = GOOD(key, key)
        end = 12 + len(manifest("0.2.0", FILES))
        return whole[:end] + of(whole[:end], key) + whole[end + 384 :]

    return make


PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
MANIFEST_BYTES = len(manifest("0.2.0", FILES))
BUNDLE_BYTES = 12 + MANIFEST_BYTES + 384 + sum(len(content) for content in FILES.values())


@pytest.mark.parametrize(
    ("make", "name", "written"),
    [
        pytest.param(lambda key, another: make_bundle("0.2.0", FILES, another), "signature", 0, id="another's key"),
        pytest.param(flipped(20), "signature", 0, id="a changed manifest"),
        pytest.param(flipped(12 + MANIFEST_BYTES), "signature", 0, id="a changed signature"),
        pytest.param(flipped(12 + MANIFEST_BYTES + 383), "signature", 0, id="a signature changed at its end"),
        pytest.param(with_signature(lambda head, key: bytes(384)), "signature", 0, id="signature 0"),
        pytest.param(with_signature(lambda head, key: bytes(383) + b"\x01"), "signature", 0, id="signature 1"),
        pytest.param(with_signature(lambda head, key: b"\xff" * 384), "signature", 0, id="above the modulus"),
        pytest.param(
            with_signature(lambda head, key: key.sign(head, padding.PKCS1v15(), hashes.SHA512())),
            "signature", 0, id="another digest",
        ),
        pytest.param(
            with_signature(lambda head, key: key.sign(head, PSS, hashes.SHA256())),
            "signature", 0, id="another padding",
        ),
        pytest.param(
            with_signature(lambda head, key: key.sign(head[:-1], padding.PKCS1v15(), hashes.SHA256())),
            "signature", 0, id="of something else",
        ),
        pytest.param(flipped(0), "damaged", 0, id="another magic"),
        pytest.param(flipped(8), "damaged", 0, id="a manifest of 16 MiB"),
        pytest.param(flipped(12 + MANIFEST_BYTES + 384), "damaged", 1, id="a changed file"),
        pytest.param(flipped(BUNDLE_BYTES - 1), "damaged", 3, id="a changed last file"),
        pytest.param(lambda key, _: GOOD(key, key) + b"more", "damaged", 4, id="more than the manifest says"),
        pytest.param(lambda key, _: signed(b"{}", key), "damaged", 0, id="an empty manifest"),
        pytest.param(lambda key, _: signed(b"not JSON", key), "damaged", 0, id="a manifest that is none"),
        pytest.param(lambda key, _: signed(described("../main.py"), key, b"x"), "damaged", 0, id="out of the slot"),
        pytest.param(lambda key, _: signed(described("/main.py"), key, b"x"), "damaged", 0, id="from the root"),
        pytest.param(lambda key, _: signed(described("a//b.mpy"), key, b"x"), "damaged", 0, id="a nameless folder"),
        pytest.param(lambda key, _: signed(described("a/./b.mpy"), key, b"x"), "damaged", 0, id="a dot"),
        pytest.param(lambda key, _: signed(described("", b"x"), key, b"x"), "damaged", 0, id="no name"),
        pytest.param(lambda key, _: signed(described("x", size=-1), key, b"x"), "damaged", 0, id="a negative size"),
        pytest.param(lambda key, _: signed(described("x", size=1 << 20), key, b"x"), "damaged", 0, id="too large"),
        pytest.param(lambda key, _: make_bundle("0.3.0", FILES, key), "damaged", 0, id="not the version offered"),
        pytest.param(lambda key, _: make_bundle("0.0.9", FILES, key), "downgrade", 0, id="an older one renamed"),
        pytest.param(lambda key, _: make_bundle("0.1.0", FILES, key), "downgrade", 0, id="the same renamed"),
    ],
)  # fmt: skip
def test_a_bundle_that_is_not_what_it_should_be_is_refused_and_counted(
    board: Board, signing_key: rsa.RSAPrivateKey, another_key: rsa.RSAPrivateKey, make: Make, name: str, written: int
) -> None:
    board.offer(make(signing_key, another_key))
    found = board.run()
    assert found["told"][0]["refused"] == {name: 1}
    # asked once and not again: it would be the same
    assert (found["told"][0]["asked"], found["told"][0]["restart"], found["told"][0]["ended"]) == (1, False, False)
    assert found["whole"] == [True, False] and found["state"]["slot"] == "a"
    if not written:
        assert found["b"] == {}, "nothing of it may be on flash"


def test_a_downgrade_is_refused_before_anything_is_fetched(board: Board, signing_key: rsa.RSAPrivateKey) -> None:
    board.running = "0.10.0"
    for version in ("0.9.9", "0.2.0", "0.10.0", "0.0.11"):
        board.offer(make_bundle(version, FILES, signing_key), offered=version)
    found = board.run()
    # the one that runs is no offer at all
    assert [one["refused"].get("downgrade") for one in found["told"]] == [1, 2, 2, 3]
    assert [one["asked"] for one in found["told"]] == [0] * 4


@pytest.mark.parametrize("offered", ["0.2", "0.2.0.1", "0.2.x", "-1.2.3", "", "0..2", "1.2.123456"])
def test_a_version_that_is_none_is_refused(board: Board, offered: str) -> None:
    board.offer(b"nothing", offered=offered)
    found = board.run()
    assert found["told"][0] == {
        "refused": {"damaged": 1}, "asked": 0, "restart": False, "ended": False, "error": f"not a version: {offered}",
    }  # fmt: skip


def test_a_version_that_did_not_run_here_waits_for_a_newer_configuration(
    board: Board, signing_key: rsa.RSAPrivateKey
) -> None:
    board.state = {"slot": "a", "proven": True, "boots": 0, "failed": "0.2.0", "offer": 2}
    whole = make_bundle("0.2.0", FILES, signing_key)
    for _ in range(3):
        board.offer(whole)
    found = board.run()
    assert [one["refused"].get("failed") for one in found["told"]] == [1, 2, 2]
    assert [one["asked"] for one in found["told"]] == [0, 0, 1]
    assert found["state"] == {"slot": "b", "proven": False, "boots": 0, "failed": "0.2.0", "offer": 3}


def test_answers_that_are_no_bundle(board: Board, signing_key: rsa.RSAPrivateKey) -> None:
    whole = make_bundle("0.2.0", FILES, signing_key)
    board.offer(whole, length=len(whole) - 1)
    board.offer(whole, size=len(whole) + 1)
    board.offer(whole, sha256="00" * 32)
    found = board.run()
    assert [one["refused"] for one in found["told"]] == [{"damaged": 1}, {"damaged": 2}, {"damaged": 3}]
    assert found["b"] == {} and found["state"]["slot"] == "a"


def test_an_answer_that_may_be_better_the_next_time_is_asked_for_again(
    board: Board, signing_key: rsa.RSAPrivateKey
) -> None:
    whole = make_bundle("0.2.0", FILES, signing_key)
    board.offer(whole, status=503)
    board.offer(whole[:-1], length=len(whole), size=len(whole), sha256=hashlib.sha256(whole).hexdigest())
    board.offer(whole)
    found = board.run()
    assert [one["error"] for one in found["told"][:2]] == ["the hub answers 503", "the bundle ends too early"]
    assert all(one["asked"] > 1 and one["refused"] == {} for one in found["told"][:2])
    assert found["told"][2]["restart"]


def test_without_a_public_key_nothing_is_believed(board: Board, signing_key: rsa.RSAPrivateKey) -> None:
    board.public = public_modulus(signing_key)[:-1]
    board.offer(make_bundle("0.2.0", FILES, signing_key))
    assert board.run()["told"][0]["refused"] == {"signature": 1}


def test_firmware_that_runs_from_its_source_is_not_updated(board: Board, signing_key: rsa.RSAPrivateKey) -> None:
    board.slots = False
    board.offer(make_bundle("0.2.0", FILES, signing_key))
    found = board.run()
    assert found["told"][0]["asked"] == 0 and found["told"][0]["refused"] == {}
