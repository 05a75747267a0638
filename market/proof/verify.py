"""Check a proof file offline. The standard library is all it needs; it shares no code with what made the proof.

Read it from top to bottom: the form, the chain, the tree, then what was measured, ordered, paid and booked, and at the
end the curve. The format is docs/proofs.md; ``verify.html`` does the same in a browser.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

REGISTERS = ("import_wh", "export_wh", "generation_wh", "consumption_wh")
PARTS = {"interval": ("reading", "order", "outcome", "transfers"), "month": ("bill", "transfers")}
FACTS = {
    "interval": ("mechanism", "promise", "final", "currency", "price_ticks", "bid_ticks"),
    "month": ("month", "currency"),
}
FILE = ("pumasi_proof", "community", "account", "kind", "start", "length", "public_key", "newest", "revisions")
NEWEST = ("number", "kind", "start", "length", "revision", "head", "signature")
ENTRY = (
    "community", "number", "kind", "start", "length", "revision", "closed_at", "accounts", "root", "blinding", "facts",
    "secret", "sealed",
)  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: its name, whether it holds, and what it means in plain words."""

    name: str
    holds: bool
    text: str


class _Said(str):
    """An English text that knows what it was made of, so that it can be said in another language."""

    text: str
    values: Mapping[str, Any]


def _say(text: str, /, **values: Any) -> _Said:
    said = _Said(text.format(**{name: _said_in({}, value) for name, value in values.items()}))
    said.text, said.values = text, values
    return said


def _said_in(words: Mapping[str, str], said: Any) -> str:
    """In the language whose texts ``words`` has by the English ones; a tuple is a list with commas."""
    if isinstance(said, tuple):
        return ", ".join(_said_in(words, one) for one in said)
    if not isinstance(said, _Said):
        return str(said)
    values = {name: _said_in(words, value) for name, value in said.values.items()}
    return words.get(said.text, said.text).format(**values)


class _BrokenError(Exception):
    """The first check that does not hold: its name and why."""


def check_proof(
    text: str,
    *,
    public_key: str | None = None,
    heads: Sequence[Mapping[str, Any]] = (),
    reading: str | None = None,
    words: Mapping[str, str] | None = None,
) -> list[Check]:
    """Every check of the proof file ``text`` in order; it ends with the first that does not hold.

    What the household knows from elsewhere: the ``public_key`` in hexadecimal digits; published ``heads``, each with
    its ``head`` and, where known, its ``number`` and which closure it is of; a ``reading``, JSON from its own meter.
    ``words`` are the texts of another language by the English ones.
    """
    done: list[Check] = []
    try:
        proof = _form(text)
        done.append(Check("form", True, _say("The file is a proof for {account}.", account=proof["account"])))
        done += _signature(proof, public_key)
        found: dict[int, str] = {}
        net: dict[str, int] = {}
        before: dict[str, dict[str, Any]] = {}
        for revision, told in enumerate(proof["revisions"]):
            entry = _entry(proof, told["entry"], revision)
            texts = _texts(proof, told)
            for check in _of_revision(proof, entry, told, texts, before, found, net):
                if len(proof["revisions"]) > 1:
                    said = _say("Revision {number}: {text}", number=revision, text=check.text)
                    check = Check(check.name, check.holds, said)
                done.append(check)
            before = texts
        done += _published(proof, found, heads)
        if reading is not None:
            done.append(_same_as_meter(proof, reading))
    except _BrokenError as broken:
        name, why = broken.args
        done.append(Check(name, False, why))
    return [Check(check.name, check.holds, _said_in(words, check.text)) for check in done] if words else done


def _of_revision(
    proof: dict[str, Any],
    entry: dict[str, Any],
    told: dict[str, Any],
    texts: dict[str, dict[str, Any]],
    before: dict[str, dict[str, Any]],
    found: dict[int, str],
    net: dict[str, int],
) -> Iterator[Check]:
    """The checks of one revision: ``net`` gets what it booked, by reason, and ``found`` the heads that it shows."""
    yield _chained(proof, entry, told, found)
    booked = _booked(proof, entry, texts["transfers"])
    yield from _member(entry, told, texts, sum(booked.values()))
    for reason, money in booked.items():
        net[reason] = net.get(reason, 0) + money
    if proof["kind"] == "interval":
        yield _measured(entry, texts)
        yield _ordered(entry, texts, before)
        yield _paid(entry, texts)
    else:
        yield _billed(entry, texts)
    yield _accounted(texts, booked, net)


def _fail(check: str, text: str, /, **values: Any) -> NoReturn:
    raise _BrokenError(check, _say(text, **values))


# the form


def _form(text: str) -> dict[str, Any]:
    proof = _object(_json(text, "form", _say("This")), FILE, _say("the file"))
    if type(proof["pumasi_proof"]) is not int or proof["pumasi_proof"] != 1:
        _fail("form", "This is not a proof of format 1.")
    for name in ("community", "account", "kind"):
        _ascii(proof[name], name)
    for name in ("start", "length"):
        _whole(proof[name], name)
    _hex(proof["public_key"], 32, "public_key")
    newest = _object(proof["newest"], NEWEST, "newest")
    _ascii(newest["kind"], "newest.kind")
    for name in ("number", "start", "length", "revision"):
        _whole(newest[name], f"newest.{name}")
    _hex(newest["head"], 32, "newest.head")
    _hex(newest["signature"], 64, "newest.signature")
    if proof["kind"] not in PARTS:
        _fail("form", "A closure of this kind is not known here.")
    if type(proof["revisions"]) is not list or not proof["revisions"]:
        _fail("form", "There is no revision in it.")
    for told in proof["revisions"]:
        told = _object(told, ("entry", "previous", "skip", "parts", "blinding", "way", "link"), _say("a revision"))
        _ascii(told["entry"], "entry")
        for name in ("previous", "skip", "blinding"):
            _hex(told[name], 32, name)
        for name, width in (("parts", None), ("way", 3), ("link", 4)):
            if type(told[name]) is not list or len(told[name]) > 256:
                _fail("form", "{what} is not a list.", what=name)
            for row in told[name]:
                if width is not None and (type(row) is not list or len(row) != width):
                    _fail("form", "{what} has a row that is not {width} long.", what=name, width=width)
        for part in told["parts"]:
            part = _object(part, ("kind", "salt", "text"), _say("a part"))
            _ascii(part["kind"], "kind")
            _hex(part["salt"], 32, "salt")
            if type(part["text"]) is not str or any(
                sign < " " or "\ud800" <= sign <= "\udfff" for sign in part["text"]
            ):
                _fail("form", "{what} is not plain text.", what=_say("A text in it"))
        for side, *points in told["way"]:
            if side not in ("left", "right"):
                _fail("form", "A neighbour stands neither left nor right.")
            for point in points:
                _hex(point, 32, "way")
        for number, *hashes in told["link"]:
            _whole(number, "link")
            for value in hashes:
                _hex(value, 32, "link")
    return proof


def _object(value: Any, names: Sequence[str], where: str, check: str = "form") -> dict[str, Any]:
    if type(value) is not dict or sorted(value) != sorted(names):
        _fail(check, "What belongs into {where} is {names}, and nothing else.", where=where, names=tuple(names))
    return value


def _whole(value: Any, name: str, check: str = "form", least: int = 0) -> int:
    if type(value) is not int or not least <= value < 2**53:
        _fail(check, "{what} is not a whole number in its bounds.", what=name)
    return value


def _signed(value: Any, name: str, check: str) -> int:
    return _whole(value, name, check, -(2**53) + 1)


def _money(value: Any, name: str, check: str) -> int:
    """Money goes beyond 2^53, so it is written as text."""
    if type(value) is not str or len(value) > 24 or not value.isascii() or not value.removeprefix("-").isdigit():
        _fail(check, "{what} is not a whole amount.", what=name)
    if str(int(value)) != value:
        _fail(check, "{what} is not written plainly.", what=name)
    return int(value)


def _ascii(value: Any, name: str, check: str = "form") -> str:
    if type(value) is not str or not all(" " <= sign <= "~" for sign in value):
        _fail(check, "{what} is not plain text.", what=name)
    return value


def _hex(value: Any, size: int, name: str, check: str = "form") -> bytes:
    if type(value) is not str or len(value) != 2 * size or not set(value) <= set("0123456789abcdef"):
        _fail(check, "{what} is not {digits} hexadecimal digits.", what=name, digits=2 * size)
    return bytes.fromhex(value)


def _json(text: str, check: str, what: str) -> Any:
    """JSON whose numbers are whole: every reader of JSON reads them alike."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        _fail(check, "{what} is not JSON.", what=what)
    if re.search(r"-0|[0-9][.eE]|[0-9]{17}|NaN|Infinity", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
        _fail(check, "{what} has a number that is not whole or too large.", what=what)
    return value


def _plain(text: str, check: str) -> Any:
    """JSON written in the one way that is allowed: no spaces, no name twice, nothing escaped without need."""
    value = _json(text, check, _say("A text in it"))
    if json.dumps(value, separators=(",", ":"), ensure_ascii=False) != text:
        _fail(check, "{what} is not written plainly.", what=_say("A text in it"))
    return value


def _entry(proof: dict[str, Any], text: str, revision: int) -> dict[str, Any]:
    entry = _object(_plain(text, "chain"), ENTRY, _say("an entry"), "chain")
    for name in ("number", "start", "length", "revision", "closed_at", "accounts"):
        _whole(entry[name], name, "chain")
    for name, size in (("root", 32), ("blinding", 32), ("secret", 8), ("sealed", 32)):
        _hex(entry[name], size, name, "chain")
    facts = _object(entry["facts"], FACTS[proof["kind"]], _say("the facts"), "chain")
    for name, value in {**facts, **entry}.items():
        if name in ("community", "kind", "currency", "month"):
            _ascii(value, name, "chain")
    for name in ("community", "kind", "start", "length"):
        if entry[name] != proof[name]:
            told = {"what": name, "entry": entry[name], "file": proof[name]}
            _fail("chain", "The entry's {what} is {entry}, the file's {file}.", **told)
    if entry["revision"] != revision:
        _fail("chain", "Revision {number} is missing.", number=revision)
    return entry


def _texts(proof: dict[str, Any], told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    kinds = tuple(part["kind"] for part in told["parts"])
    if kinds != PARTS[proof["kind"]]:
        _fail("membership", "The parts should be {names}.", names=PARTS[proof["kind"]])
    texts = {part["kind"]: _plain(part["text"], part["kind"]) for part in told["parts"]}
    for kind, body in texts.items():
        if type(body) is not dict or body.get("account") != proof["account"]:
            _fail("membership", "The part {part} is not about {account}.", part=kind, account=proof["account"])
    return texts


# the chain


def _signature(proof: dict[str, Any], public_key: str | None) -> list[Check]:
    key, newest = proof["public_key"], proof["newest"]
    if public_key is not None and public_key.strip().lower() != key:
        _fail("signature", "The file is signed by another key than the one you gave.")
    told = [proof["community"], *(newest[name] for name in ("number", "kind", "start", "length", "revision", "head"))]
    signed = "\n".join(["pumasi/1 chain", *map(str, told)]).encode()
    if not signature_holds(bytes.fromhex(key), signed, bytes.fromhex(newest["signature"])):
        _fail("signature", "The signature on the newest head is not good.")
    whose = (
        _say("the key you gave")
        if public_key is not None
        else _say("key {key} (compare it with what others have)", key=key)
    )
    number, community = newest["number"], proof["community"]
    said = _say("Head {number} of {community} is signed by {whose}.", number=number, community=community, whose=whose)
    return [Check("signature", True, said)]


def _chained(proof: dict[str, Any], entry: dict[str, Any], told: dict[str, Any], found: dict[int, str]) -> Check:
    """The entry's hash is in its head, and its head in the newest; ``found`` gets every head that follows from it."""
    number, newest = entry["number"], proof["newest"]
    if number == 0:
        _fail("chain", "Closures are counted from 1.")
    entry_hash = hashlib.sha256(b"pumasi/1 entry\n" + told["entry"].encode()).digest()
    head = _head(number, bytes.fromhex(told["previous"]), bytes.fromhex(told["skip"]), entry_hash)
    _note(found, number, head)
    _note(found, number - 1, bytes.fromhex(told["previous"]))
    _note(found, _skip(number), bytes.fromhex(told["skip"]))
    for later, previous, skipped, later_entry in reversed(told["link"]):
        covered = {later - 1: previous, _skip(later): skipped}
        if later <= number or covered.get(number) != head.hex():
            _fail("chain", "Head {later} does not cover head {number}.", later=later, number=number)
        for place, value in covered.items():
            _note(found, place, bytes.fromhex(value))
        head = _head(later, *(bytes.fromhex(value) for value in (previous, skipped, later_entry)))
        number = later
        _note(found, number, head)
    if number != newest["number"] or head.hex() != newest["head"]:
        _fail("chain", "What it says does not lead to the newest head.")
    return Check(
        "chain",
        True,
        _say(
            "Closure {number} is in the chain; {hashes} hashes lead to the newest head.",
            number=entry["number"],
            hashes=len(told["link"]),
        ),
    )


def _note(found: dict[int, str], number: int, head: bytes) -> None:
    if found.setdefault(number, head.hex()) != head.hex() or (number == 0 and any(head)):
        _fail("chain", "Two heads stand for number {number}.", number=number)


def _head(number: int, previous: bytes, skipped: bytes, entry_hash: bytes) -> bytes:
    return hashlib.sha256(b"pumasi/1 head\n" + number.to_bytes(8, "big") + previous + skipped + entry_hash).digest()


def _skip(number: int) -> int:
    rest, term = number, 0
    while rest > 0:
        term = 1
        while 2 * term + 1 <= rest:
            term = 2 * term + 1
        rest -= term
    return number - term


def _published(proof: dict[str, Any], found: dict[int, str], heads: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Every head that is known from elsewhere and stands on this way is the same, and there is one at least."""
    same, revisions = 0, len(proof["revisions"])
    for row in heads:
        number, head = row.get("number"), row["head"]
        if number is None:
            if head not in found.values():
                _fail("heads", "The head {head} is not among those that this proof leads through.", head=head)
            same += 1
        elif number in found:
            if found[number] != head:
                told = {"number": number, "head": head, "found": found[number]}
                _fail("heads", "Head {number} was published as {head}, this proof leads to {found}.", **told)
            same += 1
        later = row.get("revision", 0) >= revisions
        if later and all(row.get(name) == proof[name] for name in ("kind", "start", "length")):
            told = {"revision": row["revision"], "number": number}
            _fail("heads", "Revision {revision} was published as head {number}; this proof ends before it.", **told)
    if heads and not same:
        _fail("heads", "None of the heads you gave stands on this proof's way: nothing can be said.")
    return (
        [Check("heads", True, _say("{count} published heads are the same in this proof.", count=same))] if heads else []
    )


# the tree


def _member(entry: dict[str, Any], told: dict[str, Any], texts: dict[str, dict[str, Any]], money: int) -> list[Check]:
    """The household's own texts, hashed with its own salts, lead to the root, and the root's sums are zero."""
    energy = 0
    if entry["kind"] == "interval":
        traded = [_whole(texts["outcome"].get(name), name, "membership") for name in ("sold_wh", "bought_wh")]
        energy = traded[0] - traded[1]
    blinding = int(told["blinding"], 16)
    if blinding >= ORDER:
        _fail("membership", "The blinding is out of its bounds.")
    own = _encode(_commitment(energy, money, blinding))
    parts = [
        hashlib.sha256(
            f"pumasi/1 part\n{part['kind']}\n".encode() + bytes.fromhex(part["salt"]) + part["text"].encode()
        ).digest()
        for part in told["parts"]
    ]
    value, total = hashlib.sha256(b"pumasi/1 leaf\n" + b"".join(parts) + own).digest(), own
    for side, beside, hidden in told["way"]:
        other = (bytes.fromhex(beside), bytes.fromhex(hidden))
        left, right = (other, (value, total)) if side == "left" else ((value, total), other)
        value = hashlib.sha256(b"pumasi/1 node\n" + b"".join((*left, *right))).digest()
        points = _decode(left[1]), _decode(right[1])
        if points[0] is None or points[1] is None:
            _fail("membership", "A neighbour's sum is no point of the curve.")
        total = _encode(_add(points[0], points[1]))
    if value.hex() != entry["root"]:
        _fail("membership", "The figures in this file do not lead to the root in the chain.")
    rest = int(entry["blinding"], 16)
    if rest >= ORDER or _encode(_times(rest, BASE)) != total:
        _fail("sums", "Over all accounts, yours among them, energies and money do not sum to zero.")
    said = _say("Your figures are in: {hashes} hashes lead from them to the root.", hashes=len(told["way"]))
    sums = _say("Over all {accounts} accounts, yours among them, the money sums to zero.", accounts=entry["accounts"])
    if entry["kind"] == "interval":
        sums = _say(
            "Over all {accounts} accounts, yours among them, what was sold is what was bought, and the money sums"
            " to zero.",
            accounts=entry["accounts"],
        )
    return [Check("membership", True, said), Check("sums", True, sums)]


# what was measured, ordered, paid and booked


def _booked(proof: dict[str, Any], entry: dict[str, Any], body: dict[str, Any]) -> dict[str, int]:
    """The money that the household received (negative: paid) in this closure, by reason."""
    _object(body, ("account", "transfers"), _say("the transfers"), "transfers")
    account, found = proof["account"], {}
    if type(body["transfers"]) is not list:
        _fail("transfers", "The transfers are not a list.")
    for row in body["transfers"]:
        if type(row) is not list or len(row) != 5 or any(type(value) is not str for value in row):
            _fail("transfers", "A transfer is not id, debit, credit, amount and reason.")
        name, debit, credit, text, reason = row
        amount = _money(text, _say("a transfer's amount"), "transfers")
        key = f"{proof['community']}/{proof['start']}/{proof['length']}/{account}/{reason}/{entry['revision']}"
        if name != hashlib.sha256(key.encode()).hexdigest()[:32]:
            _fail(
                "transfers", "The transfer {id} is not named after its interval, account, reason and revision.", id=name
            )
        if amount <= 0 or account not in (debit, credit) or debit == credit or reason in found:
            _fail("transfers", "The transfer {id} is not one of the household's own.", id=name)
        found[reason] = amount if credit == account else -amount
    return found


def _measured(entry: dict[str, Any], texts: dict[str, dict[str, Any]]) -> Check:
    """The registers' differences are the energy that the outcome speaks of."""
    body, outcome = texts["reading"], texts["outcome"]
    _object(body, ("account", "meters"), _say("the reading"), "reading")
    if type(body["meters"]) is not list:
        _fail("reading", "The meters are not a list.")
    energy, heard, meters = [0, 0, 0, 0], bool(body["meters"]), []
    for row in body["meters"]:
        row = _object(row, ("meter", "source", "before", "after", "payload"), _say("a meter's reading"), "reading")
        if any(type(row[name]) is not str for name in ("meter", "source")):
            _fail("reading", "A meter has no name, or its registers no source.")
        meters.append(_say("{meter} ({source})", meter=row["meter"], source=_source(row["source"])))
        if row["before"] is None or row["after"] is None:
            heard = False
            continue
        for i in range(4):
            before, after = _register(row["before"], i), _register(row["after"], i)
            if after < before:
                _fail("reading", "{register} of {meter} runs backwards.", register=REGISTERS[i], meter=row["meter"])
            energy[i] += after - before
    if not heard:
        energy = [0, 0, 0, 0]
    if outcome.get("heard") is not heard:
        _fail("reading", "Whether the meters were heard is told in two ways.")
    for name, measured in zip(REGISTERS, energy, strict=True):
        if _whole(outcome.get(name), name, "reading") != measured:
            told = {"what": name, "settled": outcome[name], "measured": measured}
            _fail("reading", "{what} is settled as {settled}, the registers say {measured}.", **told)
    if not heard:
        return Check("reading", True, _say("A meter had not been heard: you traded nothing in this revision."))
    told = {"meters": tuple(meters), "imported": energy[0], "exported": energy[1]}
    return Check("reading", True, _say("{meters}: imported {imported} Wh, exported {exported} Wh.", **told))


def _source(text: str) -> str:
    kind, _, number = text.partition(" ")
    known = {
        "reading": _say("reading"),
        "correction": _say("correction {number}", number=number),
        "estimate": _say("estimate {number}", number=number),
    }
    return known[kind] if kind in known and known[kind] == text else text


def _register(values: Any, i: int) -> int:
    if type(values) is not list or len(values) != 4:
        _fail("reading", "Registers are four numbers.")
    return _whole(values[i], REGISTERS[i], "reading")


TRADED = (
    "accepted_wh", "price_low", "price_ticks", "price_high", "way_in_ticks", "bought_wh", "sold_wh", "trade_money",
)  # fmt: skip
PARTNERS = ("partner_wh", "gift_wh")
"""What the outcome of a household with partner trades has beside: their energy, and the gifts it gave less received."""
RATES = ("import_ticks", "export_ticks", "bought_ticks", "sold_ticks")
SAFE = ("most_ticks", "least_ticks")
ORDERED = ("account", "node", "side", "limit_ticks", "energy_wh")
OUTCOME = (
    "account", "heard", *REGISTERS, "accepted_wh", "price_low", "price_ticks", "price_high", "way_in_ticks",
    "bought_wh", "sold_wh", "trade_money", *RATES, *SAFE, "residual_money", "alone_money",
)  # fmt: skip


def _ordered(entry: dict[str, Any], texts: dict[str, dict[str, Any]], before: dict[str, dict[str, Any]]) -> Check:
    """The order is what the registers say, and was accepted as its limit and the witness's price at its node say.

    ``before`` are the texts of the revision before: once an interval is final, its trades stand. The witness's price
    speaks of what partner trades left of the order.
    """
    order = _object(texts["order"], ORDERED, _say("the order"), "order")
    names = (*OUTCOME, *PARTNERS) if set(PARTNERS) & set(texts["outcome"]) else OUTCOME
    outcome = _object(texts["outcome"], names, _say("the outcome"), "order")
    mechanism, promise = entry["facts"]["mechanism"], entry["facts"]["promise"]
    if mechanism not in ("mid-market", "monthly-netting") or promise not in ("interval", "month"):
        _fail("order", "The community's mechanism or promise is not known here.")
    if type(entry["facts"]["final"]) is not bool:
        _fail("order", "Whether the interval was final is not told.")
    posted, bid = (_signed(entry["facts"][name], name, "order") for name in ("price_ticks", "bid_ticks"))
    way_in, most, least = (_signed(outcome[name], name, "order") for name in ("way_in_ticks", *SAFE))
    accepted = _whole(outcome["accepted_wh"], "accepted_wh", "order")
    partner, gift = _partners(outcome, accepted)
    if entry["facts"]["final"]:
        traded = before and _same(before["outcome"], outcome, (*TRADED, *PARTNERS))
        if not traded or not _same(before["order"], order, ORDERED):
            _fail("order", "The interval was final: its order and what was traded had to stay.")
        return Check("order", True, _say("The interval was final: your order and what you traded stay as they were."))
    limit = _signed(order["limit_ticks"], "limit_ticks", "order")
    energy = _whole(order["energy_wh"], "energy_wh", "order")
    _ascii(order["side"], "side", "order")
    imported, exported = outcome["import_wh"], outcome["export_wh"]
    side, due = "sell" if exported > imported else "buy" if imported > exported else "none", abs(exported - imported)
    if mechanism == "monthly-netting":
        side, due = "none", 0
    if order["side"] != side or energy != due:
        told = {"side": order["side"], "energy": energy, "due_side": side, "due": due}
        _fail("order", "The order is {side} {energy} Wh, the registers say {due_side} {due} Wh.", **told)
    if type(order["node"]) is not str:
        _fail("order", "The order has no node.")
    if accepted > energy:
        _fail("order", "{accepted} Wh were accepted of {energy} Wh.", accepted=accepted, energy=energy)
    if (outcome["sold_wh"], outcome["bought_wh"]) != ((accepted, 0) if side == "sell" else (0, accepted)):
        _fail("order", "What was accepted is not what was bought or sold.")
    prices = [outcome[name] for name in ("price_low", "price_ticks", "price_high")]
    known = [_signed(price, _say("the witness's price"), "order") for price in prices if price is not None]
    if side == "none":
        return Check("order", True, _say("You had no order in this interval."))
    if promise == "interval" and (limit < least if side == "sell" else limit > most):
        _fail("order", "The limit {limit} lets the order trade to its loss.", limit=_price(limit))
    willing = limit <= posted if side == "sell" else limit >= posted + way_in
    words = _say("limit {limit}, posted price {posted}", limit=_price(limit), posted=_price(posted))
    if not willing:
        if accepted:
            _fail("order", "The order was accepted against its limit ({words}).", words=words)
        return Check(
            "order",
            True,
            _say("Your limit did not accept the posted price ({words}): nothing was traded.", words=words),
        )
    # An order of which nothing is left was in no market: no price speaks of it.
    if (prices[1] is None and energy > partner) or sorted(known) != known:
        _fail("order", "The witness has no price at the order's node, or its ends are in no order.")
    for price in known:
        gains, loses = (price > posted, price < posted) if side == "sell" else (price < bid, price > bid)
        if (gains and accepted < energy) or (loses and accepted > partner):
            _fail(
                "order",
                "At the witness's price {price} the order was not treated as it should be.",
                price=_price(price),
            )
    there = _say("nothing of it was left for the market")
    if energy > partner:
        at = _price(prices[1])
        there = _say("the witness's price at node {node} is {price}", node=order["node"], price=at)
    told = {"energy": energy, "words": words, "traded": _traded(accepted, partner, gift), "there": there}
    if side == "sell":
        return Check("order", True, _say("To sell {energy} Wh ({words}): {traded}; {there}.", **told))
    return Check("order", True, _say("To buy {energy} Wh ({words}): {traded}; {there}.", **told))


def _partners(outcome: dict[str, Any], accepted: int) -> tuple[int, int]:
    """Energy in partner trades, and in gifts given (negative: received) among them; both 0 where there are none."""
    if "partner_wh" not in outcome:
        return 0, 0
    partner = _whole(outcome["partner_wh"], "partner_wh", "order", 1)
    gift = _signed(outcome["gift_wh"], "gift_wh", "order")
    if partner > accepted:
        told = {"partner": partner, "accepted": accepted}
        _fail(
            "order", "{partner} Wh are said to be with preferred partners, of {accepted} Wh that were accepted.", **told
        )
    if abs(gift) > partner:
        told = {"gift": abs(gift), "partner": partner}
        _fail("order", "{gift} Wh are said to be a gift, of {partner} Wh with preferred partners.", **told)
    if outcome["sold_wh" if gift > 0 else "bought_wh"] == 0 and gift:
        _fail("order", "Only who sells gives, and only who buys is given.")
    return partner, gift


def _traded(accepted: int, partner: int, gift: int) -> _Said:
    traded = _say("{accepted} Wh were accepted", accepted=accepted)
    if partner:
        traded = _say("{traded}, {partner} Wh of it with preferred partners", traded=traded, partner=partner)
    if gift > 0:
        traded = _say("{traded}, {gift} Wh of them given as a gift", traded=traded, gift=gift)
    if gift < 0:
        traded = _say("{traded}, {gift} Wh of them received as a gift", traded=traded, gift=-gift)
    return traded


def _same(one: dict[str, Any], other: dict[str, Any], names: Sequence[str]) -> bool:
    """Also in kind: to Python true is 1."""
    return all(one.get(name) == other.get(name) and type(one.get(name)) is type(other.get(name)) for name in names)


def _paid(entry: dict[str, Any], texts: dict[str, dict[str, Any]]) -> Check:
    """Trades at the posted price (with fees up to those of the dearest way), a gift at 0, the rest at the tariff."""
    outcome, posted = texts["outcome"], entry["facts"]["price_ticks"]
    trade, residual, alone = (
        _money(outcome[name], name, "money") for name in ("trade_money", "residual_money", "alone_money")
    )
    sold, bought = outcome["sold_wh"], outcome["bought_wh"]
    gift = outcome.get("gift_wh", 0)
    fees = posted * (sold - bought - gift) - trade
    if not 0 <= fees <= outcome["way_in_ticks"] * bought:
        told = {"trade": trade, "energy": sold - bought, "price": _price(posted)}
        _fail("money", "{trade} for {energy} Wh at {price} does not follow the rule.", **told)
    if outcome["import_ticks"] is None:
        rest = _say("the rest is billed by the month")
        due = (0, sold * outcome["least_ticks"] - bought * outcome["most_ticks"])
        if any(outcome[name] is not None for name in RATES):
            _fail("money", "The tariff's prices are there in part.")
    else:
        retail, feed_in, on_bought, on_sold = (_signed(outcome[name], name, "money") for name in RATES)
        imported, exported = outcome["import_wh"], outcome["export_wh"]
        told = {"residual": _amount(residual), "retail": _price(retail), "feed_in": _price(feed_in)}
        rest = _say("{residual} for the rest at your tariff ({retail} and {feed_in})", **told)
        left = (exported - sold) * feed_in - (imported - bought) * retail - bought * on_bought - sold * on_sold
        due = (left, exported * feed_in - imported * retail)
    if (residual, alone) != due:
        _fail(
            "money",
            "Booked at the tariff is {residual} and alone {alone}, the tariff says {rest} and {all}.",
            residual=residual,
            alone=alone,
            rest=due[0],
            all=due[1],
        )
    promised = entry["facts"]["promise"] == "interval" or outcome["import_ticks"] is not None
    # Whoever gives is looked at as if the gift had been paid, and whoever is given as if it had paid.
    if promised and not entry["facts"]["final"] and trade + posted * gift + residual < alone:
        _fail("money", "The household is worse off than alone.")
    told = {"trade": _amount(trade), "currency": entry["facts"]["currency"], "fees": _amount(fees)}
    traded = _say("{trade} {currency} for what was traded (fees {fees})", **told)
    if gift:
        traded = _say(
            "{trade} {currency} for what was traded (fees {fees}; the gift is worth {worth} at the posted price)",
            **told,
            worth=_amount(posted * abs(gift)),
        )
    return Check(
        "money",
        True,
        _say("{traded}, {rest}; alone it would be {alone}.", traded=traded, rest=rest, alone=_amount(alone)),
    )


BILLED = ("own", "alone", "trades", "true_up", "total", "gain")
GIFTS = ("given", "received", "gifts")
"""What a bill's trades have only where there were any: their worth at the posted prices, and given less received."""


def _billed(entry: dict[str, Any], texts: dict[str, dict[str, Any]]) -> Check:
    """The bill's lines add up to its totals, with the community and alone."""
    bill = _object(texts["bill"], ("account", "bill"), _say("the bill"), "bill")["bill"]
    if type(bill) is not dict or not set(BILLED) <= set(bill):
        _fail("bill", "A bill has {names}.", names=BILLED)
    totals = []
    for way in ("own", "alone"):
        if type(bill[way]) is not dict or type(bill[way].get("lines")) is not list:
            _fail("bill", "A bill has lines.")
        lines = bill[way]["lines"]
        if any(type(line) is not dict for line in lines):
            _fail("bill", "A bill's line has no amount.")
        total = _figure(bill[way].get("total"), "total")
        if sum(_figure(line.get("money"), "money") for line in lines) != total:
            _fail("bill", "The lines do not add up to the bill.")
        totals.append(total)
    if type(bill["trades"]) is not dict:
        _fail("bill", "A bill has trades.")
    due, true_up = _figure(bill["trades"].get("due"), "due"), _figure(bill["true_up"], "true_up")
    total, gain = _figure(bill["total"], "total"), _figure(bill["gain"], "gain")
    given, received, gifts = (_figure(bill["trades"].get(name, 0), name) for name in GIFTS)
    bought, sold, fees, rounding = (
        _figure(bill["trades"].get(name), name) for name in ("bought", "sold", "fees", "rounding")
    )
    if gifts != given - received or due != bought - sold + gifts + fees + rounding:
        _fail("bill", "The bill's trades and gifts do not add up to what is due for them.")
    if total != totals[0] + due - true_up or gain != totals[1] - total:
        _fail("bill", "The bill's parts do not add up to its total, or its gain is another.")
    told = {"tariff": _amount(totals[0]), "trades": _amount(due), "true_up": _amount(true_up)}
    parts = _say("{tariff} for the tariff, {trades} for trades, less {true_up} of the true-up", **told)
    facts = entry["facts"]
    told = {
        "month": facts["month"],
        "total": _amount(total),
        "currency": facts["currency"],
        "alone": _amount(totals[1]),
    }
    return Check("bill", True, _say("{month}: {total} {currency} ({parts}); alone {alone}.", **told, parts=parts))


def _figure(value: Any, name: str) -> int:
    """Money as a number, or as text where it is beyond 2^53."""
    return _money(value, name, "bill") if type(value) is str else _signed(value, name, "bill")


def _accounted(texts: dict[str, dict[str, Any]], booked: dict[str, int], net: dict[str, int]) -> Check:
    """All transfers so far add up to what the outcome, or the bill, says should stand."""
    if "outcome" in texts:
        should = {"trade": int(texts["outcome"]["trade_money"]), "residual": int(texts["outcome"]["residual_money"])}
        should = dict.fromkeys(net, 0) | should
    else:
        bill = texts["bill"]["bill"]
        should = {"true-up": int(bill["true_up"]), "rounding": -_figure(bill["trades"].get("rounding"), "rounding")}
    for reason in sorted(should):
        if net.get(reason, 0) != should[reason]:
            told = {"reason": _reason(reason), "booked": net.get(reason, 0), "due": should[reason]}
            _fail("transfers", "Booked for {reason} is {booked}, it should be {due}.", **told)
    said = tuple(
        _say("{reason} {amount}", reason=_reason(reason), amount=_amount(money))
        for reason, money in sorted(booked.items())
    )
    return Check("transfers", True, _say("Booked with you in this closure: {what}.", what=said or _say("nothing")))


def _reason(name: str) -> str:
    known = {
        "trade": _say("trade"),
        "residual": _say("residual"),
        "invoice": _say("invoice"),
        "true-up": _say("true-up"),
        "rounding": _say("rounding"),
    }
    return known.get(name, name)


def _same_as_meter(proof: dict[str, Any], text: str) -> Check:
    """What the household's own meter says is what the newest revision took."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        _fail("meter", "What the meter says is not JSON.")
    rows = told if type(told) is list else told["readings"] if type(told) is dict and "readings" in told else [told]
    parts = {part["kind"]: part["text"] for part in proof["revisions"][-1]["parts"]}
    meters = json.loads(parts["reading"])["meters"] if "reading" in parts else []
    same = 0
    for row in rows if type(rows) is list else []:
        if type(row) is not dict or row.get("start") not in (proof["start"], proof["start"] - proof["length"]):
            continue
        which = "after" if row["start"] == proof["start"] else "before"
        registers = [row.get(name) for name in REGISTERS]
        own = [meter for meter in meters if row.get("meter", meter["meter"]) == meter["meter"]]
        if registers not in [meter[which] for meter in own]:
            said = json.dumps(registers, separators=(",", ":"))
            _fail(
                "meter",
                "Your meter says {registers} at the interval that starts at {start}; the proof does not.",
                registers=said,
                start=row["start"],
            )
        if row.get("mac") and which == "after":
            sent = hashlib.sha256(text.strip().encode()).hexdigest()
            if told is row and sent not in [meter["payload"] for meter in own]:
                _fail("meter", "What your meter sent is not byte for byte what the proof speaks of.")
        same += 1
    if not same:
        _fail("meter", "What the meter says has no reading of this interval.")
    return Check("meter", True, _say("{count} readings of your own meter are the same in this proof.", count=same))


def _price(value_ticks: int) -> str:
    return _decimal(value_ticks, 5)


def _amount(money: int) -> str:
    return _decimal(money, 8)


def _decimal(value: int, places: int) -> str:
    digits = str(abs(value)).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


# the curve edwards25519 (RFC 8032, section 5.1)

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
_Point = tuple[int, int, int]
"""(X, Y, Z) with x = X / Z and y = Y / Z."""


def _add(a: _Point, b: _Point) -> _Point:
    """The sum (D. J. Bernstein and others, Twisted Edwards curves, 2008, section 6)."""
    (x1, y1, z1), (x2, y2, z2) = a, b
    z, x, y = z1 * z2 % P, x1 * x2 % P, y1 * y2 % P
    e = D * x * y % P
    minus, plus = (z * z - e) % P, (z * z + e) % P
    return z * minus * ((x1 + y1) * (x2 + y2) - x - y) % P, z * plus * (y + x) % P, minus * plus % P


def _times(scalar: int, point: _Point) -> _Point:
    found: _Point = (0, 1, 1)
    for bit in bin(scalar)[2:]:
        found = _add(found, found)
        if bit == "1":
            found = _add(found, point)
    return found


def _encode(point: _Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(data: bytes) -> _Point | None:
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number % 2**255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and sign):
        return None
    return (P - x if x % 2 != sign else x), y, 1


def _base() -> _Point:
    point = _decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None
    return point


BASE = _base()


@cache
def _generator(name: str) -> _Point:
    for counter in range(256):
        point = _decode(hashlib.sha256(f"pumasi/1 generator {name} {counter}".encode()).digest())
        if point is not None and _encode(_times(8, point)) != _encode((0, 1, 1)):
            return _times(8, point)
    raise AssertionError("one hash in two is a point")


def _commitment(energy_wh: int, money: int, blinding: int) -> _Point:
    figures = _add(_times(energy_wh % ORDER, _generator("energy")), _times(money % ORDER, _generator("money")))
    return _add(figures, _times(blinding, BASE))


def signature_holds(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature is good (RFC 8032, section 5.1.7)."""
    point, first, second = _decode(key), _decode(signature[:32]), int.from_bytes(signature[32:], "little")
    if point is None or first is None or second >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return _encode(_times(second, BASE)) == _encode(_add(first, _times(challenge, point)))
