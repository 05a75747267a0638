"""The embedded broker (amqtt), for a machine without Mosquitto: loopback only, and it remembers nothing when it stops.

    python -m broker.embedded --port 1883 --passwords FILE --acl FILE

Both files are Mosquitto's. Rules that amqtt leaves open are closed here: a client's id must be its user, so nobody
takes over another's session, and a last will must be on a topic that the user may write to.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import Action as Attempt
from amqtt.contexts import BaseContext
from amqtt.errors import AMQTTError
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from broker import access, passwords

HOST = "127.0.0.1"
STOP_TIMEOUT_S = 1.0


class Accounts:
    """The password file, read again when it was replaced: meters come and go while the broker runs."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, (0, 0)
        self._entries: dict[str, str] = {}
        self.entries()

    def entries(self) -> dict[str, str]:
        """User -> entry."""
        state = self._path.stat()
        if (state.st_ino, state.st_mtime_ns) != self._seen:
            self._entries = passwords.read_password_file(self._path)
            self._seen = state.st_ino, state.st_mtime_ns
        return self._entries


class PasswordPlugin(BaseAuthPlugin):
    """Lets a client in whose password, client id and last will are right."""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._accounts = Accounts(Path(self.config.passwords))
        self._rules = access.parse(Path(self.config.acl).read_text(encoding="utf-8"))

    async def authenticate(self, *, session: Session) -> bool | None:
        user, will = session.username, session.will_topic
        entry = self._accounts.entries().get(user or "")
        if user is None or entry is None or session.client_id != user:
            return False
        if session.will_flag and not (will and self._rules.allows(user, "write", will)):
            return False
        return passwords.matches(session.password or "", entry)

    @dataclass
    class Config:
        passwords: str
        acl: str


class AccessPlugin(BaseTopicPlugin):
    """Lets a client publish, subscribe and receive as the access list says."""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._accounts = Accounts(Path(self.config.passwords))
        self._rules = access.parse(Path(self.config.acl).read_text(encoding="utf-8"))

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Attempt | None = None
    ) -> bool | None:
        if session is None or session.username is None or topic is None:
            return False
        if session.username not in self._accounts.entries():
            return False  # revoked since it connected
        return self._rules.allows(session.username, "write" if action is Attempt.PUBLISH else "read", topic)

    @dataclass
    class Config:
        passwords: str
        acl: str


class LoopbackBroker(Broker):
    """amqtt's broker, but a client that connects is not sent what is retained for everybody else's subscriptions."""

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribers = self.subscriptions.get(subscription[0], [])
        if any(subscriber.client_id == session.client_id for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)


async def serve(port: int, password_file: Path, acl_file: Path) -> None:
    """Run until SIGTERM or SIGINT."""
    files: dict[str, Any] = {"passwords": str(password_file), "acl": str(acl_file)}
    broker = LoopbackBroker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {
                f"{PasswordPlugin.__module__}.PasswordPlugin": files,
                f"{AccessPlugin.__module__}.AccessPlugin": files,
            },
        }
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await broker.start()
    await stopped.wait()
    with contextlib.suppress(AMQTTError, TimeoutError, OSError):  # nothing is kept here that an orderly end would save
        await asyncio.wait_for(broker.shutdown(), STOP_TIMEOUT_S)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m broker.embedded", description="A broker for one community.")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--passwords", type=Path, required=True, help="password file")
    parser.add_argument("--acl", type=Path, required=True, help="access list")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    for name in ("amqtt", "asyncio", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they report every refused or lost client as an error
    try:
        asyncio.run(serve(options.port, options.passwords, options.acl))
    except (AMQTTError, OSError, ValueError) as error:
        print(f"the embedded broker does not start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(status)  # tasks that amqtt leaves behind would print as they are thrown away
