"""What runs out, and its renewal: the server's certificate, and certificates that were replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from broker import certificates, identities, site
from broker.private_files import write_private
from broker.site import SiteError

SHORT_DAYS = 365
"""An authority or a meter's certificate with less than this left is told of."""


def renew(store: Path, hosts: list[str] | None = None) -> list[str]:
    """A new server certificate over the same key, and the revocation list made anew; what was done, line by line.

    ``hosts`` replaces the names under which meters reach the broker. Raises SiteError, for one when the authority's
    key is not at hand.
    """
    place, authority, folder = site.load(store), site.authority(store), site.directory(store)
    if hosts is not None:
        place = msgspec.structs.replace(place, hosts=hosts)
        site.save(store, place)
    key = certificates.read_key((folder / "server.key").read_bytes())
    certificate = certificates.server_certificate(authority, key, place.hosts, site.now())
    write_private(folder / "server.pem", certificates.pem(certificate))
    with identities.changing(store):
        serials: list[int] = []
        for identity in identities.every(store):
            if identity.superseded and identity.handed_over_at is not None:
                serials += identity.superseded
                identities.save(store, msgspec.structs.replace(identity, superseded=[]))
        identities.revoke_serials(store, serials, int(site.now().timestamp()))
    ends = certificate.not_valid_after_utc
    said = [f"server certificate for {', '.join(place.hosts)}: valid until {ends:%Y-%m-%d}"]
    revoked = len(certificates.revoked_serials(site.revocation_list(store)))
    return [*said, f"revocation list: {revoked} certificates, valid as long as the authority"]


def renew_if_due(store: Path, say: Callable[[str], None]) -> None:
    """Renew a server certificate that has few days left; tell what else runs out. Raises SiteError."""
    left = certificates.days_left(site.certificate(store, "server"), site.now())
    if left < certificates.RENEW_BEFORE_DAYS:
        try:
            for line in renew(store):
                say(line)
        except SiteError as error:
            say(f"the server's certificate ends in {left} days and cannot be renewed: {error}")
    for line in running_out(store):
        say(line)


def running_out(store: Path) -> list[str]:
    """A line for each certificate of the authority or of a meter that has less than a year left."""
    now, lines = site.now(), []
    left = certificates.days_left(site.certificate(store, "ca"), now)
    if left < SHORT_DAYS:
        lines.append(f"the authority ends in {left} days: every meter must be provisioned anew before that")
    for identity in identities.every(store):
        certificate = certificates.read_certificate(identity.certificate.encode())
        left = certificates.days_left(certificate, now)
        if identity.revoked_at is None and left < SHORT_DAYS:
            meter = identity.meter
            lines.append(f"{meter}: its certificate ends in {left} days: pumasi meter rotate {meter} --certificate")
    return lines
