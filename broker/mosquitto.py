"""Mosquitto: where its program is and how it is configured for one community on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PARTS = Path(__file__).resolve().parents[1] / ".parts"
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
"""Where Mosquitto lies that an ordinary user's PATH leaves out."""

MAX_QUEUED_BYTES = 256 * 2**20
MAX_MESSAGE_BYTES = 65_536
"""Far above the contract's 1 KiB: an oversized message shall reach the market, which counts it by name."""
AUTOSAVE_S = 10


def find() -> Path | None:
    """Mosquitto's program: on the machine, or unpacked in .parts/; None if there is none."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    if found := shutil.which("mosquitto", path=folders):
        return Path(found)
    unpacked = PARTS / "mosquitto" / "bin" / "mosquitto"
    return unpacked if unpacked.exists() else None


def configuration(directory: Path, host: str, port: int, passwords: Path, access: Path, *, root: bool) -> str:
    """The configuration file's text; Mosquitto keeps its retained messages in `directory`."""
    settings: dict[str, object] = {
        "listener": f"{port} {host}",
        "allow_anonymous": "false",
        "password_file": passwords,
        "acl_file": access,
        # One connection a user, and nobody can throw another off by taking its client id.
        "use_username_as_clientid": "true",
        # The default of 1000 drops acknowledged messages to a slow subscriber without a word.
        "max_queued_messages": 0,
        "max_queued_bytes": MAX_QUEUED_BYTES,
        "max_inflight_messages": 1000,
        "message_size_limit": MAX_MESSAGE_BYTES,
        "set_tcp_nodelay": "true",
        "persistence": "true",
        "persistence_location": f"{directory}/",
        "autosave_interval": AUTOSAVE_S,
        "log_dest": "stderr",
        "connection_messages": "false",
    }
    if root:
        settings["user"] = "root"  # else it becomes a user who can read none of these files
    kinds = [f"log_type {kind}" for kind in ("error", "warning", "notice")]
    return "\n".join([*(f"{name} {value}" for name, value in settings.items()), *kinds]) + "\n"
