"""The contract's document: good AsyncAPI 3, the same as the code, and as strict. Real messages: test_whole.py.

``asyncapi-3.0.0.json.gz`` is schemas/3.0.0-without-$id.json of the npm package @asyncapi/specs 6.11.1, Apache-2.0.
"""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator

from broker import contract
from broker.access import COMMUNITY_READS, METER_READS, METER_WRITES
from tests.broker.asyncapi import Contract

HERE = Path(__file__).parent
VECTORS = json.loads((HERE.parents[1] / "broker" / "vectors.json").read_text())
STRUCTS = {
    "reading": contract.Reading,
    "status": contract.Status,
    "ack": contract.Ack,
    "config": contract.Config,
    "result": contract.Result,
    "price": contract.Price,
}


@pytest.fixture(scope="module")
def asyncapi() -> Contract:
    return Contract.read()


@pytest.fixture(scope="module")
def meta_schema() -> Draft7Validator:
    return Draft7Validator(json.loads(gzip.decompress((HERE / "asyncapi-3.0.0.json.gz").read_bytes())))


def test_it_is_asyncapi_3(asyncapi: Contract, meta_schema: Draft7Validator) -> None:
    assert asyncapi.document["asyncapi"] == "3.0.0"
    assert [error.message for error in meta_schema.iter_errors(asyncapi.document)] == []
    broken: Any = copy.deepcopy(asyncapi.document)
    broken["operations"]["meterSendsReading"]["action"] = "shout"
    assert not meta_schema.is_valid(broken)


def test_every_reference_leads_somewhere(asyncapi: Contract) -> None:
    def references(thing: Any) -> list[str]:
        if isinstance(thing, dict):
            own = [thing["$ref"]] if "$ref" in thing else []
            return own + [found for value in thing.values() for found in references(value)]
        return [found for value in thing for found in references(value)] if isinstance(thing, list) else []

    found = references(asyncapi.document)
    assert found
    for reference in found:
        place = asyncapi.document
        for part in reference.removeprefix("#/").split("/"):
            assert part in place, reference
            place = place[part]


def test_its_schemas_are_schemas_and_its_examples_examples(asyncapi: Contract) -> None:
    for schema in asyncapi.document["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
    examples = 0
    for name, message in asyncapi.document["components"]["messages"].items():
        for example in message.get("examples", []):
            asyncapi.channels[name][1].validate(example["payload"])
            examples += 1
    assert examples >= 3


@pytest.mark.parametrize("name", STRUCTS)
def test_it_names_the_members_that_the_code_knows(asyncapi: Contract, name: str) -> None:
    schema = asyncapi.document["components"]["schemas"][name]
    fields = {field.encode_name: field for field in msgspec.structs.fields(STRUCTS[name])}
    sealed_after = {"mac"} if name in ("ack", "config", "result") else set()
    assert set(schema["properties"]) == set(fields) | sealed_after
    assert set(schema["required"]) == {one for one, field in fields.items() if field.required} | sealed_after


def test_who_sends_and_hears_is_what_the_broker_lets(asyncapi: Contract) -> None:
    def channels(who: str, action: str) -> set[str]:
        return {
            operation["channel"]["$ref"].rpartition("/")[2]
            for name, operation in asyncapi.document["operations"].items()
            if name.startswith(who) and operation["action"] == action
        }

    assert channels("meter", "send") == {*METER_WRITES, "discovery"}
    community = {name.removeprefix("_") for name in COMMUNITY_READS if "/" not in name}
    assert channels("meter", "receive") == {*METER_READS, *community}
    assert channels("market", "receive") == set(METER_WRITES)
    assert channels("market", "send") == {*METER_READS, *community}


@pytest.mark.parametrize("vector", VECTORS["seal"], ids=lambda vector: vector["topic"])
def test_the_vectors_are_messages_of_it(asyncapi: Contract, vector: dict[str, str]) -> None:
    assert asyncapi.check(vector["topic"], vector["sealed"].encode()) == vector["topic"].rpartition("/")[2]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("v", 2), ("kid", 0), ("outbox", "xyz"), ("seq", -1), ("start", "1468180800"), ("start", 1.5), ("length", 0),
        ("import_wh", -1), ("import_wh", 2**53), ("flags", ["a" * 17]), ("flags", ["x"] * 9), ("mac", "0" * 63),
        ("surprise", 1),
    ],
)  # fmt: skip
def test_it_refuses_what_the_code_refuses(asyncapi: Contract, member: str, value: object) -> None:
    good = json.loads(VECTORS["seal"][0]["sealed"])
    bad = {**good, member: value}
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(json.dumps(bad), type=contract.Reading)
    with pytest.raises(AssertionError):
        asyncapi.check("pumasi/1/rural3/m001/reading", json.dumps(bad, separators=(",", ":")).encode())


@pytest.mark.parametrize("topic", ["pumasi/1/rural3/m001/other", "pumasi/2/rural3/m001/ack", "pumasi/1/rural3/_other"])
def test_a_topic_that_it_does_not_know_is_told(asyncapi: Contract, topic: str) -> None:
    with pytest.raises(AssertionError):
        asyncapi.check(topic, b"{}")
