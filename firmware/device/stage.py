"""The boot stage: chooses between the two slots of the firmware, and lets the chosen one run.

`main.py`, this file and `slots.py` lie at the root of the flash and are never updated over the air; everything else
lies in the slots, the folders a and b. A slot that is not whole, or whose boots end before it was found healthy, loses
its turn to the other one. Without slots (firmware run from its source folder) the modules beside this file run.
"""

import binascii
import gc
import hashlib
import json
import os
import sys
import time

from slots import Slots, exists

STATE = "boot"
MANIFEST = "manifest.json"
# boots without being found healthy; a version that has proven itself may have met a row of power cuts
TRIES_NEW = 3
TRIES_PROVEN = 10
# long enough for a computer to write the flash at the prompt; the meter itself asks for less
WATCHDOG_MS = 300_000
_PAUSE_S = 5
_COLLECT_BYTES = 16_384


def other(slot: str) -> str:
    return "b" if slot == "a" else "a"


def has_slots() -> bool:
    return exists("a/" + MANIFEST) or exists("b/" + MANIFEST)


def state() -> dict:
    """Whose turn it is: `slot`; `proven`, it was found healthy once; `boots` since then.

    `failed` is the version that had to give way, `offer` the version of the configuration that had offered it.
    """
    known = {"slot": "a" if exists("a/" + MANIFEST) else "b", "proven": True, "boots": 0, "failed": None, "offer": 0}
    content = Slots(STATE).content
    if content is not None:
        try:
            known.update(json.loads(content))
        except (ValueError, TypeError):
            # nobody writes this; what a fresh flash would do is the best guess
            sys.stderr.write("boot: the state cannot be read\n")
    return known


def save(new: dict) -> None:
    """Durable when it returns. Raises OSError when the flash is full or broken."""
    Slots(STATE).save(json.dumps(new).encode())


def version(manifest: bytes) -> str:
    """What the manifest is of. Raises ValueError."""
    start = manifest.find(b"[") + 1
    try:
        return json.loads(manifest[:start] + b"]}")["version"]
    except (KeyError, TypeError):
        raise ValueError("not a manifest")


def files(manifest: bytes):
    """Yields path, size and sha256 of each file. Raises ValueError.

    One row at a time: all of them at once would take a fifth of the memory. That is why it is JSON without spaces.
    """
    at = manifest.find(b"[") + 1
    while True:
        end = manifest.find(b"}", at) + 1
        try:
            row = json.loads(manifest[at:end])
            yield row["path"], row["size"], row["sha256"]
        except (KeyError, TypeError):
            raise ValueError("not a manifest")
        if manifest[end:] == b"]}":
            return
        if manifest[end : end + 1] != b",":
            raise ValueError("not a manifest")
        at = end + 1


def whole(slot: str) -> bool:
    """True when every file is there as the manifest says."""
    try:
        manifest = _manifest(slot)
        return bool(version(manifest)) and all(
            _digest(slot + "/" + path) == sha256 for path, _, sha256 in files(manifest)
        )
    except (OSError, ValueError, TypeError):
        return False


def choose() -> str:
    """Counts this boot and gives the slot to run."""
    now = state()
    tries = TRIES_PROVEN if now["proven"] else TRIES_NEW
    if now["boots"] >= tries or not whole(now["slot"]):
        rescue = other(now["slot"])
        if whole(rescue):
            sys.stderr.write("boot: slot %s gives way to slot %s\n" % (now["slot"], rescue))
            if not now["proven"]:
                now["failed"] = _version(now["slot"])
            now["slot"] = rescue
            now["proven"] = True
            now["boots"] = 0
    now["boots"] += 1
    try:
        save(now)
    except OSError as error:
        # uncounted, but a meter that runs
        sys.print_exception(error, sys.stderr)  # type: ignore
    return now["slot"]


def enter(slot: "str | None" = None) -> None:
    """Puts a slot, or the one whose turn it is, first in the places that modules are imported from."""
    root = os.getcwd()
    sys.path.insert(0, (root if root.endswith("/") else root + "/") + (slot or state()["slot"]))
    # the slot brings its own
    sys.modules.pop("slots", None)


def main() -> None:
    # Loading modules leaves holes. Collected this often, one large piece stays free for pages and updates.
    gc.threshold(_COLLECT_BYTES)
    watchdog = _watchdog()
    try:
        if has_slots():
            enter(choose())
        import meter

        status = meter.main(watchdog)
    except Exception as error:
        sys.print_exception(error, sys.stderr)  # type: ignore
        status = 1
    _end(status)


def _end(status: int) -> None:
    """A board starts again; a process ends, and whoever started it may do so again."""
    try:
        from machine import reset
    except ImportError:
        sys.exit(status)
    time.sleep(_PAUSE_S)
    reset()


def _watchdog():
    try:
        from machine import WDT
    except ImportError:
        return None
    return WDT(timeout=WATCHDOG_MS)


def _manifest(slot: str) -> bytes:
    with open(slot + "/" + MANIFEST, "rb") as file:
        return file.read()


def _version(slot: str) -> "str | None":
    try:
        return version(_manifest(slot))
    except (OSError, ValueError):
        return None


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(512)
    with open(path, "rb") as file:
        while True:
            size = file.readinto(buffer)
            if not size:
                return binascii.hexlify(digest.digest()).decode()
            digest.update(memoryview(buffer)[:size])
