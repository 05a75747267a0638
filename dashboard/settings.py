"""What ``pumasi dashboard init`` was told, in STORE/dashboard/settings.json."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec

from broker.private_files import make_private_folder, write_private

FOLDER = "dashboard"
_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_ADDRESS = re.compile(r"[0-9.]+")
FILE_NAME = "settings.json"
LOOPBACK = "localhost"


class SettingsError(Exception):
    """The settings cannot be used; the message is one line that says where and why."""


class Carbon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kWh from the grid emits, and who says so."""

    g_per_kwh: Annotated[int, msgspec.Meta(ge=0, le=5000)]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``name`` is the permanent name under which browsers reach the pages; passkeys hold for it and for no other.

    ``licence``: under which the community's open data may be used.
    """

    name: str = LOOPBACK
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 8000
    carbon: Carbon | None = None
    licence: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


def folder(store: Path) -> Path:
    return store / FOLDER


def load(store: Path) -> Settings:
    """The store's settings; the defaults where nothing was initialised. Raises SettingsError."""
    path = folder(store) / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except FileNotFoundError:
        return Settings()
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None


def save(store: Path, settings: Settings) -> None:
    make_private_folder(folder(store))
    write_private(folder(store) / FILE_NAME, msgspec.json.format(msgspec.json.encode(settings), indent=1))


def changed(
    before: Settings,
    *,
    name: str | None = None,
    port: int | None = None,
    carbon_g_per_kwh: int | None = None,
    carbon_source: str | None = None,
    licence: str | None = None,
) -> Settings:
    """``before`` with what is given. Raises SettingsError for what cannot be."""
    if (carbon_g_per_kwh is None) != (carbon_source is None):
        raise SettingsError("--carbon-g-per-kwh and --carbon-source belong together")
    if name is not None:
        name = name.lower().rstrip(".")
        if len(name) > 253 or not _NAME.fullmatch(name) or _ADDRESS.fullmatch(name):
            raise SettingsError(f"--name {name}: not a DNS name; passkeys need one, an address will not do")
    changes: dict[str, object] = {"name": name, "port": port, "licence": licence}
    if carbon_g_per_kwh is not None:
        changes["carbon"] = {"g_per_kwh": carbon_g_per_kwh, "source": carbon_source}
    body = msgspec.to_builtins(before) | {key: value for key, value in changes.items() if value is not None}
    try:
        return msgspec.convert(body, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"pumasi dashboard init: {error}") from None


def address(store: Path, settings: Settings) -> str:
    """Where browsers find the pages."""
    secure = (folder(store) / "server.pem").exists()
    own = settings.port == (443 if secure else 80)
    return f"{'https' if secure else 'http'}://{settings.name}{'' if own else f':{settings.port}'}"
