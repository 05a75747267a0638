"""The files that Mosquitto, or the embedded broker, reads: made anew from the identities at every start."""

from __future__ import annotations

import os
from pathlib import Path

from broker import access, dynamic_security, identities, mosquitto, passwords, site
from broker.contract import market_user, reader_user
from broker.private_files import write_private
from broker.site import Site, SiteError


def mosquitto_files(store: Path, place: Site, program: Path) -> None:
    """mosquitto.conf and dynamic-security.json. Raises SiteError when Mosquitto lacks the plugin."""
    plugin = mosquitto.find_plugin(program)
    if plugin is None:
        raise SiteError(f"{program}: its plugin {mosquitto.PLUGIN} is missing; it comes with Mosquitto 2.0 and newer")
    folder, accounts = site.directory(store), site.accounts(store)
    root = os.geteuid() == 0
    settings = mosquitto.secure_configuration(folder.resolve(), plugin, place, root=root)
    rules = dynamic_security.document(place.community, accounts, identities.every(store))
    write_private(folder / "mosquitto.conf", settings)
    write_private(folder / "dynamic-security.json", rules)


def embedded_files(store: Path) -> tuple[Path, Path]:
    """Passwords and access list of the embedded broker, which reads them again when they change."""
    place, folder = site.load(store), site.directory(store)
    kept = site.accounts(store)
    accounts = {market_user(place.community): kept.market, reader_user(place.community): kept.reader}
    accounts |= {one.user: one.password for one in identities.every(store) if one.revoked_at is None}
    files = folder / "passwords", folder / "acl"
    write_private(files[0], passwords.password_file(accounts))
    write_private(files[1], access.access_list(place.community))
    return files
