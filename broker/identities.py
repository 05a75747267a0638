"""The meters' identities: key, certificate, passwords and settings, one private file each.

The identities are the truth about who may in: the broker's access rules are made from them at its start
(``broker.dynamic_security``), the revocation list from their revoked serial numbers.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from broker import certificates, site
from broker.certificates import CertificateError
from broker.contract import user
from broker.private_files import held, make_private_folder, write_private
from broker.site import SiteError, reason

ISSUED = "issued"
LABEL_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""No letters that are taken for one another on a label."""
LABEL_LENGTH = 12
SETTINGS = frozenset(
    {"board", "clock", "display", "home_assistant", "limits", "ntp", "page", "seed", "sensors", "status_s"}
)
"""What an operator may say about a meter's own configuration."""


class Identity(msgspec.Struct, frozen=True):
    """One meter. ``key`` is hexadecimal, of generation ``kid``; ``superseded`` are serials that end at the handover.

    ``revoked_at`` [epoch s] is None while it may in. ``password`` is for the loopback listener, ``label_password`` for
    the meter's own access point. ``home_certificate`` is the household's own Home Assistant's, empty for none.
    """

    community: str
    meter: str
    household: str
    kid: int
    key: str
    certificate: str
    private_key: str
    password: str
    label_password: str
    created_at: int
    settings: dict[str, Any] = {}
    superseded: list[int] = []
    home_certificate: str = ""
    handed_over_at: int | None = None
    revoked_at: int | None = None

    @property
    def user(self) -> str:
        return user(self.community, self.meter)

    @property
    def home_user(self) -> str:
        """The household's Home Assistant; no meter's name holds a point."""
        return f"{self.user}.home"

    @property
    def serial(self) -> int:
        return certificates.read_certificate(self.certificate.encode()).serial_number


def folder(store: Path) -> Path:
    return site.directory(store) / ISSUED


@contextmanager
def changing(store: Path) -> Iterator[None]:
    """Hold off others who change identities or the revocation list; they wait. Not to be entered twice."""
    with held(site.directory(store) / "issued.lock"):
        yield


def load(store: Path, meter: str) -> Identity:
    """Raises SiteError when the meter has no identity here."""
    path = folder(store) / f"{meter}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        site.load(store)
        raise SiteError(
            f"{meter}: no such meter; see pumasi meter list (pumasi meter add gives one its identity)"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise SiteError(f"{path}: {reason(error)}") from None


def exists(store: Path, meter: str) -> bool:
    return (folder(store) / f"{meter}.json").exists()


def every(store: Path) -> Iterator[Identity]:
    """All identities, the revoked too, by name. Raises SiteError."""
    for path in sorted(folder(store).glob("*.json")):
        yield load(store, path.stem)


def save(store: Path, identity: Identity) -> None:
    make_private_folder(folder(store))
    write_private(folder(store) / f"{identity.meter}.json", msgspec.json.encode(identity))


def issue(
    store: Path, meter: str, household: str, kid: int, key: bytes, settings: Mapping[str, Any] | None = None
) -> Identity:
    """A new identity with a fresh certificate, saved. Raises SiteError, CertificateError."""
    place, now = site.load(store), site.now()
    private = certificates.new_key()
    certificate = certificates.client_certificate(site.authority(store), user(place.community, meter), private, now)
    identity = Identity(
        community=place.community,
        meter=meter,
        household=household,
        kid=kid,
        key=key.hex(),
        certificate=certificates.pem(certificate).decode(),
        private_key=certificates.key_pem(private).decode(),
        password=secrets.token_urlsafe(16),
        label_password="".join(secrets.choice(LABEL_LETTERS) for _ in range(LABEL_LENGTH)),
        created_at=int(now.timestamp()),
        settings=dict(settings or {}),
    )
    save(store, identity)
    return identity


def with_new_certificate(store: Path, identity: Identity) -> Identity:
    """The identity with a fresh certificate, saved; the old one stays good until ``handed_over``."""
    private = certificates.new_key()
    certificate = certificates.client_certificate(site.authority(store), identity.user, private, site.now())
    renewed = msgspec.structs.replace(
        identity,
        certificate=certificates.pem(certificate).decode(),
        private_key=certificates.key_pem(private).decode(),
        superseded=[*identity.superseded, identity.serial],
        handed_over_at=None,
    )
    save(store, renewed)
    return renewed


def issue_home(store: Path, identity: Identity) -> tuple[Identity, bytes]:
    """A certificate for the household's Home Assistant, saved, and its key in PEM, which is not; an older one ends."""
    if identity.home_certificate:
        revoke_serials(store, _home_serials(identity), int(site.now().timestamp()))
    key = certificates.new_key()
    certificate = certificates.client_certificate(site.authority(store), identity.home_user, key, site.now())
    issued = msgspec.structs.replace(identity, home_certificate=certificates.pem(certificate).decode())
    save(store, issued)
    return issued, certificates.key_pem(key)


def _home_serials(identity: Identity) -> list[int]:
    pem = identity.home_certificate
    return [certificates.read_certificate(pem.encode()).serial_number] if pem else []


def handed_over(store: Path, meter: str, settings: Mapping[str, Any] | None = None) -> None:
    """Note that the meter holds its identity now, and revoke the certificates it held before. Raises SiteError.

    ``settings`` are what was found out about the device when it was.
    """
    with changing(store):
        identity = load(store, meter)
        at = int(site.now().timestamp())
        if identity.superseded:
            revoke_serials(store, identity.superseded, at)
        known = identity.settings | dict(settings or {})
        save(store, msgspec.structs.replace(identity, superseded=[], handed_over_at=at, settings=known))


def revoke(store: Path, identity: Identity) -> Identity:
    """Mark it revoked and put its certificates on the revocation list. The caller tells the running broker."""
    at = int(site.now().timestamp())
    revoke_serials(store, [*identity.superseded, identity.serial, *_home_serials(identity)], at)
    revoked = msgspec.structs.replace(identity, revoked_at=at, superseded=[], home_certificate="")
    save(store, revoked)
    return revoked


def revoke_serials(store: Path, serials: list[int], at: int) -> None:
    """Add the serial numbers to the revocation list. Raises SiteError."""
    before = site.revocation_list(store)
    revoked = certificates.revoked_serials(before)
    for serial in serials:
        revoked.setdefault(serial, at)
    crl = certificates.revocation_list(site.authority(store), revoked, before, site.now())
    write_private(site.directory(store) / "crl.pem", certificates.pem(crl))


def configuration(place: site.Site, identity: Identity) -> dict[str, Any]:
    """The meter's config.json as far as the host knows it: without Wi-Fi, and without what nobody has said."""
    host = place.hosts[0]
    known: dict[str, Any] = {
        "version": 1,
        "community": identity.community,
        "meter": identity.meter,
        "kid": identity.kid,
        "key": identity.key,
        "interval_s": place.interval_s,
        "broker": {"host": host, "port": place.port, "tls": True, "user": None, "password": None},
        "hub": f"https://{host}:{place.hub_port}",
        "clock": "ntp",
    }
    return known | identity.settings


def flash_files(store: Path, meter: str) -> dict[str, bytes]:
    """What goes on the meter's flash besides its program, by file name. Raises SiteError; a revoked meter gets none."""
    identity = load(store, meter)
    if identity.revoked_at is not None:
        raise SiteError(f"{meter}: this meter is revoked; give the device a new identity: pumasi meter replace")
    config = configuration(site.load(store), identity) | {"label_password": identity.label_password}
    files = {
        "config.json": msgspec.json.encode(config),
        "label.json": msgspec.json.encode({"password": identity.label_password}),
        **{f"{name}.der": content for name, content in credentials(store, identity).items()},
    }
    public = site.directory(store) / "firmware" / "firmware.pub"
    if public.exists():
        files["firmware.pub"] = public.read_bytes()
    return files


def credentials(store: Path, identity: Identity) -> dict[str, bytes]:
    """DER of ``client``, ``client.key`` and ``ca``."""
    try:
        return {
            "client": certificates.der(certificates.read_certificate(identity.certificate.encode())),
            "client.key": certificates.key_der(certificates.read_key(identity.private_key.encode())),
            "ca": certificates.der(site.certificate(store, "ca")),
        }
    except CertificateError as error:
        raise SiteError(f"{folder(store) / identity.meter}.json: {error}") from None


def enrolment_answer(store: Path, identity: Identity) -> bytes:
    """What an enrolling meter is given, as JSON."""
    texts = {name: base64.b64encode(content).decode() for name, content in credentials(store, identity).items()}
    answer = {"config": configuration(site.load(store), identity)}
    return msgspec.json.encode(
        answer | {"client": texts["client"], "client_key": texts["client.key"], "ca": texts["ca"]}
    )
