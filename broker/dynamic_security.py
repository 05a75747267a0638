"""Access through Mosquitto's dynamic-security plugin: one role for each meter, changed while the broker runs.

Each role names its topics in full, as ``%u`` has no meaning in them. A client that is deleted is thrown off at once,
and when its certificate brings it back it has no rights. The plugin's file is made anew from the identities whenever
the broker starts; while it runs, ``Control`` tells it of each change.
"""

from __future__ import annotations

import itertools
import queue
import ssl
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from broker import passwords
from broker.access import COMMUNITY_READS, METER_READS, METER_WRITES
from broker.contract import market_user, reader_user
from broker.identities import Identity
from broker.site import Accounts

TOPIC = "$CONTROL/dynamic-security/v1"
ANSWER_TIMEOUT_S = 5.0
COMMANDS_AT_ONCE = 20
"""So many fit into one message (``mosquitto.MAX_MESSAGE_BYTES``)."""
READ = ("publishClientReceive", "subscribePattern")
WRITE = ("publishClientSend",)


class ControlError(Exception):
    """The running broker did not do what it was told; the message is one line that says why."""


def admin_user(community: str) -> str:
    return f"{community}/_admin"


def meter_role(identity: Identity) -> dict[str, Any]:
    """What a meter may: write its own topics, read its own and the community's."""
    own = f"pumasi/1/{identity.user}"
    writes = [f"{own}/{what}" for what in METER_WRITES]
    if identity.settings.get("home_assistant"):
        writes.append(f"homeassistant/sensor/{identity.community}_{identity.meter}/+/config")
    reads = [f"{own}/{what}" for what in METER_READS]
    return _role(identity.user, [*reads, *_public(identity.community)], writes)


def home_role(identity: Identity) -> dict[str, Any]:
    """What the household's Home Assistant may: read its own meter, and say that it is there.

    It asks for all discovery messages and is given its own meter's.
    """
    own = f"pumasi/1/{identity.user}"
    reads = [f"{own}/{what}" for what in METER_WRITES]
    found = f"homeassistant/sensor/{identity.community}_{identity.meter}/+/config"
    role = _role(identity.home_user, reads, ["homeassistant/status"])
    role["acls"] += [_acl("publishClientReceive", found), _acl("subscribePattern", "homeassistant/#")]
    return role


def market_role(community: str) -> dict[str, Any]:
    """What the market may: read what all meters say and the broker's own figures, write all of its community."""
    reads = [f"pumasi/1/{community}/+/{what}" for what in METER_WRITES]
    return _role(market_user(community), [*reads, *_public(community), "$SYS/#"], [f"pumasi/1/{community}/#"])


def reader_role(community: str) -> dict[str, Any]:
    """What somebody may who checks the market: read what it says to everybody, write nothing."""
    return _role(reader_user(community), _public(community), [])


def admin_role(community: str) -> dict[str, Any]:
    """What the administrator may: change access, and say that a meter that was thrown off is offline."""
    control = "$CONTROL/dynamic-security/#"
    return _role(admin_user(community), [control], [control, f"pumasi/1/{community}/+/status"])


def document(community: str, accounts: Accounts, identities: Iterable[Identity]) -> bytes:
    """The plugin's file. What no role allows is refused; a revoked identity is not in it."""
    let_in = [identity for identity in identities if identity.revoked_at is None]
    people = [
        (market_role(community), accounts.market),
        (admin_role(community), accounts.admin),
        (reader_role(community), accounts.reader),
    ]
    people += [(meter_role(identity), identity.password) for identity in let_in]
    homes = [home_role(identity) for identity in let_in if identity.home_certificate]
    whole = {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [
            *(_stored_client(role["rolename"], password) for role, password in people),
            *(_certified(role) for role in homes),
        ],
        "groups": [],
        "roles": [*(role for role, _ in people), *homes],
    }
    return msgspec.json.encode(whole)


def let_in(identity: Identity) -> list[dict[str, Any]]:
    """The commands that give a meter its rights; those of an earlier role of its name are taken first."""
    role = meter_role(identity)
    client = {"username": identity.user, "password": identity.password, "roles": [{"rolename": role["rolename"]}]}
    commands = [*throw_off(identity), {"command": "createRole", **role}, {"command": "createClient", **client}]
    if identity.home_certificate:
        home = home_role(identity)
        commands += [{"command": "createRole", **home}, {"command": "createClient", **_certified(home)}]
    return commands


def let_home_in(identity: Identity) -> list[dict[str, Any]]:
    """The commands that give the household's Home Assistant its rights."""
    home = home_role(identity)
    return [
        *_deleted(identity.home_user),
        {"command": "createRole", **home},
        {"command": "createClient", **_certified(home)},
    ]


def throw_off(identity: Identity) -> list[dict[str, Any]]:
    """The commands that end a meter's session and its rights, and those of the household's Home Assistant."""
    return [*_deleted(identity.user), *_deleted(identity.home_user)]


class Control:
    """A connection to the running broker, as its administrator, over the loopback listener; a context manager.

    Raises ControlError when the broker does not answer or refuses.
    """

    def __init__(self, community: str, port: int, password: str, *, host: str = "127.0.0.1") -> None:
        self._community, self._address = community, (host, port)
        user = admin_user(community)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=user, clean_session=True, reconnect_on_failure=False
        )
        self._client.username_pw_set(user, password)
        self._said: queue.Queue[bytes | str] = queue.Queue()
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._said.put("ready")
        self._client.on_publish = lambda *_: None
        self._client.on_message = lambda _, __, message: self._said.put(bytes(message.payload))
        self._client.on_disconnect = lambda *_: self._said.put("the broker ended the connection")

    def __enter__(self) -> Control:
        try:
            self._client.connect(*self._address, keepalive=30)
        except (OSError, ssl.SSLError) as error:
            raise ControlError(f"no broker answers on port {self._address[1]}: {error}") from None
        self._client.loop_start()
        try:
            said = self._next()
            if said != "ready":
                raise ControlError(str(said))
        except ControlError:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def run(self, commands: Sequence[dict[str, Any]]) -> None:
        """Run the commands; what is to be deleted and is not there is no fault. Raises ControlError for any other."""
        for some in _batched(commands, COMMANDS_AT_ONCE):
            self._client.publish(TOPIC, msgspec.json.encode({"commands": some}), qos=1)
            said = self._next()
            if isinstance(said, str):
                raise ControlError(said)
            for response in msgspec.json.decode(said)["responses"]:
                missing = response.get("error") in ("Client not found", "Role not found")
                if "error" in response and not (missing and response["command"].startswith("delete")):
                    raise ControlError(f"{response['command']}: {response['error']}")

    def say_offline(self, identity: Identity) -> None:
        """What the meter's last will would have said: a client that is thrown off leaves none."""
        told = self._client.publish(f"pumasi/1/{identity.user}/status", b'{"v":1,"online":false}', qos=1, retain=True)
        told.wait_for_publish(ANSWER_TIMEOUT_S)

    def _on_connect(
        self, client: mqtt.Client, userdata: Any, flags: mqtt.ConnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            self._said.put(f"the broker refuses its administrator: {reason}")
        else:
            client.subscribe(f"{TOPIC}/response", qos=1)

    def _next(self) -> bytes | str:
        try:
            return self._said.get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty:
            raise ControlError(f"the broker does not answer within {ANSWER_TIMEOUT_S:.0f} s") from None

    def _end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _public(community: str) -> list[str]:
    return [f"pumasi/1/{community}/{what}" for what in COMMUNITY_READS]


def _role(name: str, reads: Iterable[str], writes: Iterable[str]) -> dict[str, Any]:
    rules = [(kind, topic) for topic in reads for kind in READ] + [(kind, topic) for topic in writes for kind in WRITE]
    return {"rolename": name, "acls": [_acl(kind, topic) for kind, topic in rules]}


def _acl(kind: str, topic: str) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "priority": 0, "allow": True}


def _certified(role: dict[str, Any]) -> dict[str, Any]:
    """A client without a password: its certificate alone lets it in."""
    return {"username": role["rolename"], "roles": [{"rolename": role["rolename"]}]}


def _deleted(name: str) -> list[dict[str, Any]]:
    return [{"command": "deleteClient", "username": name}, {"command": "deleteRole", "rolename": name}]


def _stored_client(user: str, password: str) -> dict[str, Any]:
    _, _, iterations, salt, digest = passwords.hashed(password).split("$")
    return {
        "username": user,
        "password": digest,
        "salt": salt,
        "iterations": int(iterations),
        "roles": [{"rolename": user}],
    }


def _batched(things: Sequence[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    whole = iter(things)
    while some := list(itertools.islice(whole, size)):
        yield some
