"""``pumasi proof`` and ``pumasi verify-proof``: what a household is given, and how anyone checks it offline."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from market.commands.community import epoch
from market.commands.errors import CommandError
from market.proof.verify import check_proof
from market.record import Record
from market.record.rows import INTERVAL, MONTH
from market.service.chain import read_heads
from market.service.proofs import ProofError, proof_of
from market.tariffs.months import month_of
from market.whole_file import whole

HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")


def add(commands: Any, store: Path) -> None:
    text = "export what proves one household's interval or month, without its neighbours' data"
    parser = commands.add_parser(
        "proof",
        help=text,
        description=text.capitalize() + ". The household checks the file with verify-proof, or with the page that"
        " --verifier writes: it works in any browser, without a network.",
    )
    parser.add_argument("household", nargs="?", metavar="HOUSEHOLD")
    parser.add_argument(
        "interval",
        nargs="?",
        metavar="INTERVAL",
        help="its start: 2026-07-01T14:15 in local time or epoch seconds; or a month that was billed: 2026-07",
    )
    parser.add_argument("--store", type=Path, default=store, metavar="DIR", help="the store (default: %(default)s)")
    parser.add_argument("--to", type=int, metavar="NUMBER", help="lead to this head (default: the newest)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: standard output)")
    parser.add_argument("--verifier", type=Path, metavar="OUT.html", help="write the page that checks proofs")
    parser.set_defaults(run=run_proof)
    text = "check a proof file offline; say each thing that was checked, or the first that fails"
    parser = commands.add_parser("verify-proof", help=text, description=text.capitalize() + ".")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--head", action="append", default=[], metavar="HEX", help="a published head that you know")
    parser.add_argument(
        "--heads", type=Path, metavar="FILE", help="published heads, one JSON object a line, as the store's heads.jsonl"
    )
    parser.add_argument("--public-key", metavar="HEX", help="the community's key, as you know it from elsewhere")
    parser.add_argument(
        "--reading", type=Path, metavar="FILE", help="what your own meter says: its page's readings.json, or a reading"
    )
    parser.add_argument("--lang", choices=("en", "ko"), default="en", help="of what it says (default: %(default)s)")
    parser.set_defaults(run=run_verify)


def run_proof(arguments: argparse.Namespace) -> int:
    if arguments.verifier is not None:
        _write(arguments.verifier, _page())
        if arguments.household is None:
            return 0
    if arguments.household is None or arguments.interval is None:
        raise CommandError("say whose proof of which interval: pumasi proof HOUSEHOLD INTERVAL")
    record = Record(arguments.store, read_only=True)
    try:
        start, length, kind = _span(record, arguments.interval)
        proof = proof_of(record, arguments.store, arguments.household, start, length, kind, arguments.to)
    except ProofError as error:
        raise CommandError(str(error)) from None
    finally:
        record.close()
    if arguments.out is None:
        sys.stdout.write(proof)
    else:
        _write(arguments.out, proof)
    return 0


def _span(record: Record, text: str) -> tuple[int, int, str]:
    """(start, length [s], kind) of what a person calls an interval."""
    rules = record.rules(record.input_versions(2**62))
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}", text):
        try:
            month = month_of(text)
        except ValueError as error:
            raise CommandError(str(error)) from None
        zone = ZoneInfo(rules.timezone)
        return month.start(zone), month.end(zone) - month.start(zone), MONTH
    start = int(text) if text.isdecimal() else epoch(text, rules.timezone)
    return start - start % rules.interval_s, rules.interval_s, INTERVAL


def run_verify(arguments: argparse.Namespace) -> int:
    heads: list[Mapping[str, Any]] = [{"head": hex_key(head, "--head")} for head in arguments.head]
    if arguments.heads is not None:
        heads += heads_in(arguments.heads)
    words = {} if arguments.lang == "en" else korean()
    checks = check_proof(
        _read(arguments.file),
        public_key=None if arguments.public_key is None else hex_key(arguments.public_key, "--public-key"),
        heads=heads,
        reading=None if arguments.reading is None else _read(arguments.reading),
        words=words,
    )
    for check in checks:
        said = words.get("holds", "holds") if check.holds else words.get("fails", "FAILS")
        print(f"{said}  {words.get(check.name, check.name)}: {check.text}")
    if checks[-1].holds:
        print(f"verify-proof: {words.get('Every check holds.', 'OK')}")
        return 0
    fails = words.get("It does not hold: {check}.", "{file} does not hold: {check}")
    print("verify-proof:", fails.format(file=arguments.file, check=words.get(checks[-1].name, checks[-1].name)))
    return 1


def korean() -> dict[str, str]:
    """Every text of the two verifiers in Korean, by the English one: the page keeps the list, being one file."""
    found: dict[str, str] = json.loads(_page().split("const KOREAN = ", 1)[1].split(";\n", 1)[0])
    return found


def _page() -> str:
    return files("market.proof").joinpath("verify.html").read_text(encoding="utf-8")


def heads_in(path: Path) -> list[dict[str, Any]]:
    """The published heads in a file. Raises CommandError."""
    try:
        return list(read_heads(path))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(str(error)) from None


def hex_key(text: str, option: str) -> str:
    """64 hexadecimal digits that were given to ``option``. Raises CommandError."""
    if not HEX_KEY.fullmatch(text):
        raise CommandError(f"{option} {text[:80]}: not 64 hexadecimal digits")
    return text.lower()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path}: it is not text") from None


def _write(path: Path, text: str) -> None:
    try:
        with whole(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    print(f"{path}: written", file=sys.stderr)
