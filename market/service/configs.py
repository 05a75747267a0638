"""What each meter is told by its retained ``config`` message: its settings, and how to go on to its next key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from broker import settings
from broker.settings import Settings
from broker.site import SiteError
from market.service.ingest import Message
from market.service.keys import Keys


class Configs:
    """The messages that the store's settings file and the keys' rotations make now."""

    def __init__(self, store: Path, community: str, keys: Keys, notice: Callable[[str], None]) -> None:
        self._store, self._community, self._keys, self._notice = store, community, keys, notice
        self._told: dict[str, bytes] = {}
        self._stamp: tuple[int, int] | None = None
        self._settings = Settings()
        self.changed()

    def changed(self) -> bool:
        """Whether the settings file was replaced since it was last looked at; it is read then."""
        try:
            state = settings.path(self._store).stat()
        except FileNotFoundError:
            return False
        stamp = state.st_ino, state.st_mtime_ns
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._settings = settings.load(self._store)
        except SiteError as error:
            self._notice(f"meters keep the settings they have: {error}")
            return False
        return True

    def every(self) -> list[Message]:
        """The message of every meter that has one: for a broker that may have forgotten them."""
        messages = self._messages()
        self._told = {message.topic: message.payload for message in messages}
        return messages

    def changes(self) -> list[Message]:
        """Those that are not what was told last."""
        new = [message for message in self._messages() if self._told.get(message.topic) != message.payload]
        self._told |= {message.topic: message.payload for message in new}
        return new

    def _messages(self) -> list[Message]:
        made = []
        for meter in self._keys.meters():
            part = self._settings.of(meter)
            kid = self._keys.present(meter)
            key, nonce = self._keys.key(meter, kid), self._keys.nonce(meter)
            message = settings.config_message(part, self._community, meter, kid, key, nonce)
            if message is not None:
                made.append(Message(*message))
        return made
