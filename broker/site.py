"""The broker's directory STORE/broker: what lies where, and for which hosts and ports.

| file | content |
|---|---|
| ``broker.json`` | community, hosts, ports: what ``pumasi broker init`` was told |
| ``ca.pem``, ``ca.key`` | the certification authority; the key is needed to add, rotate and revoke meters, not to run |
| ``server.pem``, ``server.key``, ``crl.pem`` | the server's certificate, and the revocation list |
| ``accounts.json`` | passwords of market, administrator and reader, for the loopback listener only |
| ``market.pem``, ``market.key`` | the market's certificate, for a market on another machine |
| ``mosquitto.conf``, ``dynamic-security.json`` | made from the above, again at every start |
| ``issued/<meter>.json`` | the meters' identities |
| ``enrolment/``, ``firmware/`` | enrolment tokens (hashed); signed bundles |
| ``settings.json`` | what the market tells meters by their retained ``config`` |
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography import x509

from broker import certificates
from broker.certificates import Authority, CertificateError
from broker.private_files import write_private

FOLDER = "broker"
PORT, LOOPBACK_PORT, HUB_PORT = 8883, 1883, 8443

Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class SiteError(Exception):
    """The broker's directory cannot be used as asked; the message is one line that says where and why."""


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``pumasi broker init`` was told. Meters reach the broker under its ``hosts``, and are told the first."""

    community: str
    interval_s: int
    hosts: list[str]
    port: Port = PORT
    loopback_port: Port = LOOPBACK_PORT
    hub_port: Port = HUB_PORT
    bind: str | None = None
    """The address that TLS listeners stand on; None: all of the machine."""


class Accounts(msgspec.Struct, frozen=True):
    """Passwords on the loopback listener."""

    market: str
    admin: str
    reader: str


def directory(store: Path) -> Path:
    return store / FOLDER


def load(store: Path) -> Site:
    """What was initialised in the store. Raises SiteError."""
    path = directory(store) / "broker.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Site)
    except FileNotFoundError:
        what = "broker" if store.exists() else "store"
        raise SiteError(f"{store}: there is no {what} here; make one: pumasi broker init --store {store}") from None
    except (OSError, msgspec.DecodeError) as error:
        raise SiteError(f"{path}: {reason(error)}") from None


def save(store: Path, place: Site) -> None:
    write_private(directory(store) / "broker.json", msgspec.json.format(msgspec.json.encode(place), indent=1))


def accounts(store: Path) -> Accounts:
    """Raises SiteError."""
    path = directory(store) / "accounts.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Accounts)
    except (OSError, msgspec.DecodeError) as error:
        raise SiteError(f"{path}: {reason(error)}") from None


def authority(store: Path) -> Authority:
    """The authority with its key. Raises SiteError when the key is not at hand."""
    try:
        key = certificates.read_key((directory(store) / "ca.key").read_bytes())
    except FileNotFoundError:
        path = directory(store) / "ca.key"
        raise SiteError(f"{path}: the authority's key is not here; bring it back from its safe place") from None
    except (OSError, CertificateError) as error:
        raise SiteError(f"{directory(store) / 'ca.key'}: {reason(error)}") from None
    return Authority(certificate(store, "ca"), key)


def certificate(store: Path, name: str) -> x509.Certificate:
    """The certificate in ``<name>.pem``. Raises SiteError."""
    path = directory(store) / f"{name}.pem"
    try:
        return certificates.read_certificate(path.read_bytes())
    except (OSError, CertificateError) as error:
        raise SiteError(f"{path}: {reason(error)}") from None


def revocation_list(store: Path) -> x509.CertificateRevocationList:
    """Raises SiteError."""
    path = directory(store) / "crl.pem"
    try:
        return certificates.read_revocation_list(path.read_bytes())
    except (OSError, CertificateError) as error:
        raise SiteError(f"{path}: {reason(error)}") from None


def check_host(host: str) -> str:
    """The host in lower case. SiteError unless it is a DNS name or an IPv4 address, which is what a QR code carries."""
    try:
        if ipaddress.ip_address(host).version == 4:
            return host
        raise SiteError(f"--host {host}: an IPv6 address; give a name for it, the QR code cannot carry it")
    except ValueError:
        pass
    name = host.lower().rstrip(".")
    if len(name) > 64 or not re.fullmatch(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", name):
        raise SiteError(f"--host {host}: not a DNS name of at most 64 characters, nor an IPv4 address")
    if re.fullmatch(r"[0-9.]+", name):
        raise SiteError(f"--host {host}: not an IPv4 address")
    return name


def reason(error: Exception) -> str:
    """Why a file cannot be used, without its name once more."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
