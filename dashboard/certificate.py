"""The pages' certificate, STORE/dashboard/server.pem and server.key: from the community's authority or elsewhere."""

from __future__ import annotations

from pathlib import Path

from broker import certificates, site
from broker.certificates import CertificateError
from broker.private_files import make_private_folder, write_private
from dashboard.settings import SettingsError, folder

CERTIFICATE, KEY = "server.pem", "server.key"
NOTICE_DAYS = 30


def make_certificate(store: Path, name: str) -> int:
    """Make a certificate for the name and for ``localhost``; returns how many days it is valid. SettingsError."""
    try:
        site.load(store)
        authority = site.authority(store)
        key = certificates.new_key()
        hosts = list(dict.fromkeys((name, "localhost")))
        made = certificates.server_certificate(authority, key, hosts, site.now())
    except (site.SiteError, CertificateError) as error:
        raise SettingsError(f"--certificate: {error}") from None
    make_private_folder(folder(store))
    # The key first: a crash between the two leaves a pair that is refused by name, not one that half works.
    write_private(folder(store) / KEY, certificates.key_pem(key))
    write_private(folder(store) / CERTIFICATE, certificates.pem(made) + certificates.pem(authority.certificate))
    return certificates.days_left(made, site.now())


def certificate_files(store: Path) -> tuple[Path, Path] | None:
    """Certificate and key, None where there are none. Raises SettingsError when one is missing."""
    found = (folder(store) / CERTIFICATE, folder(store) / KEY)
    there = [path.exists() for path in found]
    if any(there) and not all(there):
        missing = found[there.index(False)]
        raise SettingsError(f"{missing}: missing beside the other; make both: pumasi dashboard init --certificate")
    return found if all(there) else None


def expiry_notice(store: Path) -> str | None:
    """One line when the certificate ends soon. Raises SettingsError for what is no certificate."""
    found = certificate_files(store)
    if found is None:
        return None
    try:
        days = certificates.days_left(certificates.read_certificate(found[0].read_bytes()), site.now())
    except (OSError, CertificateError) as error:
        raise SettingsError(f"{found[0]}: {error}") from None
    if days > NOTICE_DAYS:
        return None
    return f"{found[0]}: {'ended' if days < 0 else f'ends in {days} days'}; renew: pumasi dashboard init --certificate"
