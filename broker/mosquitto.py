"""Mosquitto: where its program and its dynamic-security plugin are, and how it is configured."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from broker.site import Site

PARTS = Path(__file__).resolve().parents[1] / ".parts"
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
"""Where Mosquitto lies that an ordinary user's PATH leaves out."""
PLUGIN = "mosquitto_dynamic_security.so"
PLUGIN_FOLDERS = ("usr/lib/*", "usr/lib", "usr/lib64", "usr/local/lib", "opt/homebrew/lib")
"""Debian: below the machine's triplet; others beside their libraries."""

MAX_QUEUED_BYTES = 256 * 2**20
MAX_MESSAGE_BYTES = 65_536
"""Far above the contract's 1 KiB: an oversized message shall reach the market, which counts it by name."""
AUTOSAVE_S = 10
MAX_CONNECTIONS = 20_000
"""On the TLS listener, where strangers knock."""

HOW_TO_INSTALL = "apt-get install mosquitto (Debian, Ubuntu), dnf install mosquitto (Fedora), brew install mosquitto"


def find() -> Path | None:
    """Mosquitto's program: on the machine, or unpacked in .parts/; None if there is none."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    if found := shutil.which("mosquitto", path=folders):
        return Path(found)
    unpacked = PARTS / "mosquitto" / "bin" / "mosquitto"
    return unpacked if unpacked.exists() else None


def find_plugin(program: Path) -> Path | None:
    """The dynamic-security plugin that belongs to the program; None if there is none."""
    unpacked = program.parents[1] / "root"
    root = unpacked if unpacked.is_dir() else Path("/")
    found = (path for folder in PLUGIN_FOLDERS for path in sorted(root.glob(f"{folder}/{PLUGIN}")))
    return next(found, None)


def configuration(directory: Path, host: str, port: int, passwords: Path, access: Path, *, root: bool) -> str:
    """The configuration of a broker on one plain listener; Mosquitto keeps its retained messages in `directory`."""
    settings: list[tuple[str, object]] = [
        ("listener", f"{port} {host}"),
        ("allow_anonymous", "false"),
        ("password_file", passwords),
        ("acl_file", access),
        # One connection a user, and nobody can throw another off by taking its client id.
        ("use_username_as_clientid", "true"),
        ("set_tcp_nodelay", "true"),
        ("connection_messages", "false"),
    ]
    return _text(directory, settings, root=root)


def secure_configuration(directory: Path, plugin: Path, place: Site, *, root: bool) -> str:
    """The configuration of a community's broker: TLS with client certificates for all, passwords on loopback.

    `directory` holds the certificates, the revocation list and the plugin's file (``broker.site``).
    """
    settings: list[tuple[str, object]] = [
        ("per_listener_settings", "false"),
        ("allow_anonymous", "false"),
        ("plugin", plugin),
        ("plugin_opt_config_file", directory / "dynamic-security.json"),
        ("set_tcp_nodelay", "true"),
        # Told for each connection, so that refused ones can be counted (``broker.refusals``).
        ("connection_messages", "true"),
        ("listener", f"{place.loopback_port} 127.0.0.1"),
        ("use_username_as_clientid", "true"),
        ("listener", f"{place.port} {place.bind}" if place.bind else place.port),
        ("max_connections", MAX_CONNECTIONS),
        ("cafile", directory / "ca.pem"),
        ("certfile", directory / "server.pem"),
        ("keyfile", directory / "server.key"),
        ("crlfile", directory / "crl.pem"),
        # This version and newer ones.
        ("tls_version", "tlsv1.2"),
        ("require_certificate", "true"),
        ("use_identity_as_username", "true"),
        # One connection a user, and nobody can throw another off by taking its client id.
        ("use_username_as_clientid", "true"),
    ]
    return _text(directory, settings, root=root)


def _text(directory: Path, first: list[tuple[str, object]], *, root: bool) -> str:
    settings: list[tuple[str, object]] = [
        *first,
        # The default of 1000 drops acknowledged messages to a slow subscriber without a word. Past the bytes it drops
        # too, and counts: meters hold every reading until the market's own ack. A memory_limit would instead shut the
        # market out of a full broker, so that it never empties.
        ("max_queued_messages", 0),
        ("max_queued_bytes", MAX_QUEUED_BYTES),
        ("max_inflight_messages", 1000),
        ("message_size_limit", MAX_MESSAGE_BYTES),
        # The market's queue outlives a long absence; a meter that is gone for good does not stay for ever.
        ("persistent_client_expiration", "2m"),
        ("persistence", "true"),
        ("persistence_location", f"{directory}/"),
        ("autosave_interval", AUTOSAVE_S),
        ("log_dest", "stderr"),
        *(("log_type", kind) for kind in ("error", "warning", "notice")),
    ]
    if root:
        settings.append(("user", "root"))  # else it becomes a user who can read none of these files
    return "".join(f"{name} {value}\n" for name, value in settings)
