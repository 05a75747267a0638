"""Tells the broker that runs on the store what has changed about its meters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from broker import dynamic_security, prepared, site
from broker.dynamic_security import Control, ControlError
from broker.identities import Identity, changing
from broker.running import running
from broker.site import SiteError


class Live:
    """The running broker of a store; where none runs, there is nobody to tell: it learns all of it at its start.

    Raises SiteError when the broker runs and cannot be told.
    """

    def __init__(self, store: Path) -> None:
        self._store = store

    def let_in(self, issued: Sequence[Identity]) -> None:
        self._tell([command for one in issued for command in dynamic_security.let_in(one)], ())

    def let_home_in(self, identity: Identity) -> None:
        """The household's Home Assistant, beside its meter."""
        self._tell(dynamic_security.let_home_in(identity), ())

    def throw_off(self, revoked: Sequence[Identity]) -> None:
        """End their sessions now. The revocation list keeps them out from the next look the broker takes at it."""
        self._tell([command for one in revoked for command in dynamic_security.throw_off(one)], revoked)

    def change_rights(self, identities: Sequence[Identity]) -> None:
        """Their roles anew, without ending their sessions."""
        self._tell([{"command": "modifyRole", **dynamic_security.meter_role(one)} for one in identities], ())

    def _tell(self, commands: Sequence[dict[str, object]], offline: Sequence[Identity]) -> None:
        now = running(self._store)
        if now is None:
            return
        if now.kind == "embedded":
            prepared.embedded_files(self._store)
            return
        place = site.load(self._store)
        try:
            # One administrator at a time: a second connection of one user ends the first.
            with (
                changing(self._store),
                Control(place.community, place.loopback_port, site.accounts(self._store).admin) as control,
            ):
                control.run(commands)
                for identity in offline:
                    control.say_offline(identity)
        except ControlError as error:
            raise SiteError(
                f"{self._store}: the files are changed, but the running broker was not told: {error}; restart it"
            ) from None
