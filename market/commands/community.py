"""``pumasi community``: members, tariffs, network and offers as they are stored, and changes of them."""

from __future__ import annotations

import argparse
import getpass
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from market.commands.errors import CommandError
from market.record import Record
from market.record.rows import ChangedMeanwhileError
from market.settlement.rules import RulesError, parse, split
from market.tariff_files import with_built_ins
from market.tariffs import TariffError

LINES_SHOWN = 40
REAL_CLOCK_S = 7 * 86_400
TEXT_SHOWN = 60
VERSION = "version"
"""The member of a shown document that says which version it is; no part of what is stored."""
IDENTITIES = ("household", "node", "meter")
"""What tells the entries of a list apart."""


def add(commands: Any, store: Path) -> None:
    text = "what the community's members, tariffs, network and offers are; change them while the market runs"
    parser = commands.add_parser("community", help=text, description=text.capitalize() + ".")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print the community as a document that can be edited and applied")
    show.add_argument(
        "--at", metavar="TIME", help="as it applies to the interval that starts then: 2026-07-01T14:15, in local time"
    )
    show.set_defaults(run=run_show)
    apply = actions.add_parser(
        "apply",
        help="store what differs; it applies to intervals that start after that",
        description="Store what differs from what is stored. It applies to intervals that start after that; a running"
        " market notices it by itself. Nothing is stored when anything in the file is wrong.",
    )
    apply.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="the whole community, as show prints it; refused when it was changed since",
    )
    apply.add_argument("--author", metavar="NAME", help="who changes it (default: the user)")
    apply.add_argument(
        "--simulated",
        action="store_true",
        help="the market runs on a simulated clock, as a demo's: apply from the next interval that it settles",
    )
    apply.add_argument(
        "--remove-meters",
        action="store_true",
        help="meters that the file lacks are to go, and those it has that had gone are to come back (pumasi meter"
        " replace does it with their identities)",
    )
    apply.set_defaults(run=run_apply)
    history = actions.add_parser("history", help="print every stored version, from when it applies and who stored it")
    history.set_defaults(run=run_history)
    for action in (show, apply, history):
        action.add_argument("--store", type=Path, default=store, metavar="DIR", help="the store (default: %(default)s)")


def run_show(arguments: argparse.Namespace) -> int:
    record = Record(arguments.store, read_only=True)
    try:
        with record.snapshot():
            at = None if arguments.at is None else epoch(arguments.at, record.document()["timezone"])
            document = record.document(at)
            version = _version(record, at)
        print(json.dumps({VERSION: version, **document}, indent=1, ensure_ascii=False))
    finally:
        record.close()
    return 0


def run_apply(arguments: argparse.Namespace) -> int:
    document = read_document(arguments.file)
    seen = _taken_from(document, arguments.file)
    reader = Record(arguments.store, read_only=True)
    try:
        before = reader.document()
    finally:
        reader.close()
    record = Record(arguments.store)
    try:
        now = int(time.time())
        if arguments.simulated:
            _expect_simulated(record, now)
            now = 0
        try:
            changed = record.store_document(
                document, now, arguments.author or author(), keep_meters=not arguments.remove_meters, seen=seen
            )
        except ChangedMeanwhileError:
            raise CommandError(
                f"{arguments.file}: it was taken from version {seen}, the newest is {record.inputs_version()}"
                " (pumasi community history): take pumasi community show again and change that"
            ) from None
        except RulesError as error:
            raise CommandError(f"{arguments.file}: {error}") from None
        if not changed:
            print(f"{arguments.file}: nothing differs from what is stored")
            return 0
        after = record.document()
        lines = list(differences(before, after))
        for line in lines[:LINES_SHOWN]:
            print(line)
        if len(lines) > LINES_SHOWN:
            print(f"… and {len(lines) - LINES_SHOWN} more")
        stored_at = max(version.stored_at for version in record.input_history())
        print(f"stored; applies to {first_interval(stored_at, after)}")
        if seen is not None:
            print(f"before the next change take pumasi community show again: this is version {record.inputs_version()}")
    finally:
        record.close()
    return 0


def run_history(arguments: argparse.Namespace) -> int:
    record = Record(arguments.store, read_only=True)
    try:
        document = record.document()
        for version in record.input_history():
            place = "from the beginning" if version.stored_at == 0 else first_interval(version.stored_at, document)
            by = f", stored by {version.author}" if version.author else ""
            print(f"{version.number:5}  {version.kind:<9} version {version.version:<4} {place}{by}")
    finally:
        record.close()
    return 0


def _expect_simulated(record: Record, now: int) -> None:
    """Nobody may reach back into intervals that have begun: only a clock that is not ours says when they did."""
    last = record.last_gate()
    if last is not None and abs(last.closed_at - now) < REAL_CLOCK_S:
        shown = datetime.fromtimestamp(last.closed_at, UTC)
        raise CommandError(f"--simulated: this market's clock stood at {shown:%Y-%m-%d %H:%M} UTC: it is the real one")


def _version(record: Record, at: int | None) -> int:
    """The number of the newest input, or of the newest that applied to the interval starting ``at``."""
    return max(version.number for version in record.input_history() if at is None or version.stored_at <= at)


def _taken_from(document: Any, path: Path) -> int | None:
    """The version that the file says it was taken from, which is then no part of it. Raises CommandError."""
    if not isinstance(document, dict) or VERSION not in document:
        return None
    version = document.pop(VERSION)
    if not isinstance(version, int) or isinstance(version, bool):
        raise CommandError(f"{path}: {VERSION}: {version!r} is no version's number: leave it as show printed it")
    return version


def author() -> str:
    """Who runs this command, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "?"


def read_community(path: Path) -> Mapping[str, Any]:
    """The input bodies of a community file, checked. Raises CommandError naming the file, the place and the reason."""
    try:
        document = read_document(path)
        # Of whatever store it was taken: what it begins has no versions yet.
        _taken_from(document, path)
        bodies = split(document)
        parse(bodies)
    except RulesError as error:
        raise CommandError(f"{path}: {error}") from None
    return bodies


def begin_community(record: Record, bodies: Mapping[str, Any], path: Path) -> None:
    """Store a community's first inputs; they apply from the beginning.

    Raises CommandError when the record holds others: an old file must not undo what was changed since.
    """
    if not record.inputs_version():
        record.store_inputs(bodies, 0, author())
    elif split(record.document()) != bodies:
        raise CommandError(
            f"{path}: is not what {record.name} holds (pumasi community show); pumasi community apply {path} stores it"
        )


def read_document(path: Path) -> Any:
    """The file's JSON, built-in tariffs in place of their names. Raises CommandError naming file and reason."""
    try:
        return with_built_ins(json.loads(path.read_text(encoding="utf-8")))
    except RecursionError:
        raise CommandError(f"{path}: is nested too deeply") from None
    except TariffError as error:
        raise CommandError(f"{path}: {error}") from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{path}: not JSON: {error}") from None


def epoch(text: str, zone: str) -> int:
    """The epoch second of a local time, or of one that says its offset. Raises CommandError."""
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).timestamp())
    except (ValueError, OverflowError):
        raise CommandError(f"--at {text}: not a time such as 2026-07-01T14:15") from None


def first_interval(stored_at: int, document: Any) -> str:
    """The intervals that an input applies to, for people: in the community's time."""
    length = document["interval_s"]
    first = datetime.fromtimestamp(-(-stored_at // length) * length, UTC)
    local = first.astimezone(ZoneInfo(document["timezone"]))
    return f"intervals from {first:%Y-%m-%d %H:%M} UTC on ({local:%a %d %b %H:%M} {document['timezone']})"


def differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """One line for each member of a document that is new, gone or another."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            below = f"{place} {name}".lstrip()
            if name not in after:
                yield f"{below}: gone"
            elif name not in before:
                yield f"{below}: new" if isinstance(after[name], dict) else f"{below}: new, {_short(after[name])}"
            else:
                yield from differences(before[name], after[name], below)
    elif (old := _named(before)) is not None and (new := _named(after)) is not None:
        yield from differences(old, new, place)
    elif before != after:
        yield f"{place}: {_short(before)} -> {_short(after)}"


def _named(rows: Any) -> dict[str, Any] | None:
    """A list's entries by what identifies them, when all have it."""
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        for identity in IDENTITIES:
            if all(identity in row for row in rows):
                return {str(row[identity]): row for row in rows}
    return None


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= TEXT_SHOWN else f"{text[: TEXT_SHOWN - 1]}…"
