"""``pumasi broker init``: authority, server certificate, revocation list, accounts, configuration of a new broker."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from broker import certificates, mosquitto, site
from broker.certificates import Authority
from broker.contract import market_user
from broker.prepared import mosquitto_files
from broker.private_files import make_private_folder, write_private
from broker.site import Accounts, Site, SiteError


def initialise(store: Path, wanted: Site) -> list[str]:
    """Make what is missing and keep what is there; returns what was made, line by line, nothing the second time.

    Raises SiteError when there is a broker for something else.
    """
    folder = site.directory(store)
    if (folder / "broker.json").exists():
        _check_same(store, site.load(store), wanted)
    make_private_folder(folder)
    for name in ("issued", "enrolment", "firmware"):
        make_private_folder(folder / name)
    made: list[str] = []

    def once(name: str, content: Callable[[], bytes], what: str | None = None) -> None:
        if not (folder / name).exists():
            write_private(folder / name, content())
            if what is not None:
                made.append(what)

    def new_key() -> bytes:
        return certificates.key_pem(certificates.new_key())

    def authority() -> Authority:
        return site.authority(store)

    if not (folder / "ca.pem").exists():
        once("ca.key", new_key)
        key = certificates.read_key((folder / "ca.key").read_bytes())
        new = certificates.new_authority(f"Pumasi {wanted.community}", key, site.now())
        years = certificates.AUTHORITY_DAYS // 365
        once("ca.pem", lambda: certificates.pem(new.certificate), f"authority of {wanted.community}, {years} years")
    once("server.key", new_key)
    once("server.pem", lambda: _server_certificate(store, authority(), wanted), f"server: {', '.join(wanted.hosts)}")
    once("crl.pem", lambda: _empty_list(authority()), "revocation list: empty")
    once("market.key", new_key)
    once("market.pem", lambda: _market_certificate(store, authority(), wanted.community))
    passwords = Accounts(*(secrets.token_urlsafe(24) for _ in Accounts.__struct_fields__))
    once("accounts.json", lambda: msgspec.json.encode(passwords), "accounts of market, administrator and reader")
    # Last: from here on the broker counts as made.
    if not (folder / "broker.json").exists():
        site.save(store, wanted)
    program = mosquitto.find()
    if program is not None and not (folder / "mosquitto.conf").exists():
        mosquitto_files(store, wanted, program)
        made.append("configuration of Mosquitto")
    return made


def _check_same(store: Path, there: Site, wanted: Site) -> None:
    for name in Site.__struct_fields__:
        old, new = getattr(there, name), getattr(wanted, name)
        if old != new:
            raise SiteError(
                f"{site.directory(store)}: there is a broker with {name} {_text(old)}, not {_text(new)}; nothing is"
                " overwritten (other hosts: pumasi broker renew --host; other ports: broker.json)"
            )


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _server_certificate(store: Path, authority: Authority, place: Site) -> bytes:
    key = certificates.read_key((site.directory(store) / "server.key").read_bytes())
    return certificates.pem(certificates.server_certificate(authority, key, place.hosts, site.now()))


def _market_certificate(store: Path, authority: Authority, community: str) -> bytes:
    key = certificates.read_key((site.directory(store) / "market.key").read_bytes())
    days = certificates.AUTHORITY_DAYS
    return certificates.pem(certificates.client_certificate(authority, market_user(community), key, site.now(), days))


def _empty_list(authority: Authority) -> bytes:
    return certificates.pem(certificates.revocation_list(authority, {}, None, site.now()))
