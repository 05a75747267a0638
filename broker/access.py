"""Who may read and write which topics, in the access-list format that both brokers read.

The list has a handful of lines whatever the number of meters: `%u` stands for the user, and a meter's user is
`<community>/<meter>`, so a rule with `%u` names both and no meter reaches into another community.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from broker.contract import is_identifier, market_user, reader_user

Action = Literal["read", "write"]

METER_WRITES = ("reading", "status")
METER_READS = ("ack", "config", "result")
COMMUNITY_READS = ("_price", "_chain", "_node/#")


def access_list(community: str) -> str:
    """The access list of one community, in Mosquitto's format."""
    market = [f"topic read pumasi/1/{community}/+/{what}" for what in METER_WRITES]
    meters = [f"pattern write pumasi/1/%u/{what}" for what in METER_WRITES]
    meters += [f"pattern read pumasi/1/%u/{what}" for what in METER_READS]
    meters += [f"pattern read pumasi/1/{community}/{what}" for what in COMMUNITY_READS]
    lines = [f"user {market_user(community)}", *market, f"topic write pumasi/1/{community}/#", "", *meters]
    return "\n".join(lines) + "\n"


def check_users(users: Iterable[str], community: str) -> None:
    """ValueError unless every user is the community's market, its reader or one of its meters."""
    others = {market_user(community), reader_user(community)}
    for user in users:
        home, _, meter = user.partition("/")
        if home != community or not (is_identifier(meter) or user in others):
            raise ValueError(f"{user!r} is not a user of the community {community!r}")


@dataclass(frozen=True, slots=True)
class Rules:
    """A parsed access list. What no line allows is refused."""

    topics: dict[str, tuple[tuple[Action, str], ...]]
    patterns: tuple[tuple[Action, str], ...]

    def allows(self, user: str, action: Action, topic: str) -> bool:
        """True when the user may write to `topic`, or may read all of what `topic`, perhaps a filter, matches."""
        if "+" in user or "#" in user:
            return False  # put into a pattern, it would match what belongs to others
        own = self.topics.get(user, ())
        filled = ((kind, pattern.replace("%u", user)) for kind, pattern in self.patterns)
        return any(kind == action and covers(allowed, topic) for kind, allowed in (*own, *filled))


def parse(text: str) -> Rules:
    """Rules from lines of the form `user U`, `topic read|write F` and `pattern read|write F`. ValueError otherwise."""
    topics: dict[str, list[tuple[Action, str]]] = {}
    patterns: list[tuple[Action, str]] = []
    user: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        match line.split():
            case []:
                pass
            case ["user", name]:
                user = name
            case ["topic", "read" | "write" as action, topic] if user is not None:
                topics.setdefault(user, []).append((action, topic))
            case ["pattern", "read" | "write" as action, topic]:
                patterns.append((action, topic))
            case _:
                raise ValueError(f"access list, line {number}: {line!r} is not understood")
    return Rules({user: tuple(rules) for user, rules in topics.items()}, tuple(patterns))


def covers(allowed: str, wanted: str) -> bool:
    """True when the topic filter `allowed` matches every topic that `wanted` (a topic or a filter) matches."""
    ours, theirs = allowed.split("/"), wanted.split("/")
    for level, want in enumerate(theirs):
        have = ours[level] if level < len(ours) else None
        if have == "#":
            return True
        if have is None or want == "#" or (have != "+" and have != want):
            return False
    return len(ours) == len(theirs) or ours[len(theirs) :] == ["#"]
