"""``pumasi firmware``: the signed bundle that meters update themselves with."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from broker import identities, settings, site
from broker.private_files import make_private_folder, write_private
from broker.site import SiteError
from firmware.host import bundle
from firmware.host.bundle import Bundle, BundleError
from market.commands.broker import add_store
from market.commands.errors import CommandError

KEY, PUBLIC = "signing.pem", "firmware.pub"
MANIFEST = "manifest.json"
DESCRIPTION = """\
Meters take a new firmware only when it is signed with the community's key and newer than what they run. The
way of one: bundle (compile the firmware into a folder), sign (make the signed file and put it where the
broker's web server gives it out), offer (have the market tell the meters). A meter fetches it, checks every
byte, tries it, and falls back to what it had if it does not come up.
"""
EPILOG = """\
first, once:
  pumasi firmware key --store STORE           meters flashed from now on trust this key
then, for every version:
  pumasi firmware bundle --out build/firmware
  pumasi firmware sign build/firmware --store STORE
  pumasi firmware offer 0.3.0 --store STORE --meter m001     one meter first
  pumasi firmware offer 0.3.0 --store STORE                  then all
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "firmware",
        help="make, sign and offer the firmware that meters update themselves with",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    def action(name: str, text: str, run: Any) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        added.set_defaults(run=lambda arguments: _run(run, arguments))
        return added

    key = action("key", "draw the key that signs firmware, once for a community", make_key)
    made = action("bundle", "compile the firmware into a folder", make_folder)
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go; must be new or empty")
    signed = action("sign", "sign a folder that bundle made, and put it where meters fetch it", sign)
    signed.add_argument("folder", type=Path, metavar="DIR", help="what bundle made")
    signed.add_argument("--key", type=Path, metavar="FILE", help="the key (default: the store's)")
    offer = action("offer", "have the market tell meters that there is a firmware for them", make_offer)
    offer.add_argument("version", metavar="VERSION", help="a signed one, such as 0.2.0; 'none' takes the offer back")
    offer.add_argument("--meter", action="append", metavar="ID", help="only this meter; may be repeated (default: all)")
    for parsed in (key, signed, offer):
        add_store(parsed)


def _run(run: Any, arguments: argparse.Namespace) -> int:
    try:
        run(arguments)
    except (BundleError, SiteError) as error:
        raise CommandError(str(error)) from None
    return 0


def folder(store: Path) -> Path:
    """Where the store keeps key and bundles. Raises SiteError when the store has no broker."""
    site.load(store)
    place = site.directory(store) / "firmware"
    make_private_folder(place)
    return place


def make_key(arguments: argparse.Namespace) -> None:
    place = folder(arguments.store)
    key = bundle.make_key(place / KEY)
    (place / PUBLIC).write_bytes(bundle.public_modulus(key))
    print(f"{place / KEY}: the key that signs firmware; keep a copy where the store is not, and show it to nobody")
    print(f"{place / PUBLIC}: what meters check signatures with; pumasi flash and enrolment bring it to them")


def make_folder(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CommandError(f"--out {out}: is there already and not an empty folder")
    version = bundle.version_of()
    files = bundle.compile_device()
    for path, content in files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)
    (out / MANIFEST).write_bytes(bundle.manifest(version, files))
    print(f"{out}: firmware {version}, {len(files)} files, {sum(map(len, files.values())):,} bytes")


def sign(arguments: argparse.Namespace) -> None:
    place = folder(arguments.store)
    key = bundle.load_key(arguments.key or place / KEY)
    version, files = _read_folder(arguments.folder)
    whole = bundle.make_bundle(version, files, key)
    trusted = _trusted(place)
    bundle.read_bundle(whole, trusted)  # by another key than the meters trust it would be of no use
    target = place / version
    if target.exists() and target.read_bytes() != whole:
        raise CommandError(f"{target}: there is another firmware {version}; count its version up in messages.py")
    write_private(target, whole)
    print(f"{target}: firmware {version}, {len(whole):,} bytes, signed")


def make_offer(arguments: argparse.Namespace) -> None:
    store: Path = arguments.store
    place = folder(store)
    meters: list[str | None] = list(dict.fromkeys(arguments.meter or [])) or [None]
    for meter in meters:
        if meter is not None:
            identities.load(store, meter)
    if arguments.version == "none":
        said = None
    else:
        new, whole = _signed(place, arguments.version)
        _check_newer(store, meters, new)
        digest = hashlib.sha256(whole).hexdigest()
        path = f"/firmware/{new.version}"
        said = {"version": new.version, "path": path, "size": len(whole), "sha256": digest}
    for meter in meters:
        version = settings.change(store, meter, firmware=said)
        text = "no firmware is offered" if said is None else f"firmware {arguments.version} is offered"
        print(f"{meter or 'all meters'}: {text} (configuration {version}); the market tells them while it runs")


def _read_folder(path: Path) -> tuple[str, dict[str, bytes]]:
    """Version and files of a folder that `bundle` made. Raises CommandError for one that was changed since."""
    try:
        said = json.loads((path / MANIFEST).read_bytes())
        files = {row["path"]: (path / row["path"]).read_bytes() for row in said["files"]}
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"{path / MANIFEST}: not what pumasi firmware bundle writes") from None
    version = bundle.checked_version(said["version"])
    if bundle.manifest(version, files) != (path / MANIFEST).read_bytes():
        raise CommandError(f"{path}: files were changed after pumasi firmware bundle wrote them")
    return version, files


def _trusted(place: Path) -> bytes:
    try:
        return (place / PUBLIC).read_bytes()
    except OSError:
        raise CommandError(f"{place / PUBLIC}: is not there; make the key first: pumasi firmware key") from None


def _signed(place: Path, version: str) -> tuple[Bundle, bytes]:
    path = place / bundle.checked_version(version)
    try:
        whole = path.read_bytes()
    except OSError:
        signed = sorted((p.name for p in place.iterdir() if bundle.VERSION.fullmatch(p.name)), key=bundle.version_order)
        there = f"there are {', '.join(signed)}" if signed else "there is none yet"
        raise CommandError(f"firmware {version} has not been signed; {there}") from None
    try:
        found = bundle.read_bundle(whole, _trusted(place))
    except BundleError as error:
        raise CommandError(f"{path}: {error}") from None
    if found.version != version:
        raise CommandError(f"{path}: holds firmware {found.version}")
    return found, whole


def _check_newer(store: Path, meters: list[str | None], new: Bundle) -> None:
    """Meters refuse a version below their own; so does this, where a higher one was offered before."""
    known = settings.load(store)
    for meter in meters:
        part = known.all if meter is None else known.of(meter)
        before = part.members.get("firmware")
        if before is not None and bundle.version_order(before["version"]) > bundle.version_order(new.version):
            raise CommandError(
                f"{meter or 'all meters'}: {before['version']} was offered already, and meters refuse to go back to"
                f" {new.version}"
            )
