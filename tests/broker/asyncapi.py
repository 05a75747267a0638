"""`broker/asyncapi.yaml` as something that real messages can be held against."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

from broker.contract import MAX_PAYLOAD_BYTES

PATH = Path(__file__).parents[2] / "broker" / "asyncapi.yaml"
SEALED = re.compile(rb',"mac":"[0-9a-f]{64}"\}$')


class _Loader(yaml.SafeLoader):
    """Refuses a member that stands twice, instead of taking the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(name, deep=deep) for name, _ in node.value]
        assert len(names) == len(set(names)), f"{node.start_mark}: {names}"
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Contract:
    """Each channel's topic as a pattern, the schema of its payload, and whether that is sealed."""

    document: dict[str, Any]
    channels: dict[str, tuple[re.Pattern[str], Draft7Validator, bool]]

    @staticmethod
    def read() -> Contract:
        document = yaml.load(PATH.read_text(), _Loader)
        channels = {}
        for name, channel in document["channels"].items():
            (message,) = channel["messages"]
            schema = {"$ref": f"#/components/schemas/{message}", "components": document["components"]}
            names = re.sub(r"\{(\w+)\}", r"(?P<\1>[a-z0-9_-]+?)", channel["address"])
            required = document["components"]["schemas"][message].get("required", [])
            channels[name] = re.compile(names), Draft7Validator(schema), "mac" in required
        return Contract(document, channels)

    def check(self, topic: str, payload: bytes) -> str:
        """The channel of the message. AssertionError when it is not as the contract says."""
        found = [(name, *rest) for name, (pattern, *rest) in self.channels.items() if pattern.fullmatch(topic)]
        assert len(found) == 1, f"{topic}: {[name for name, *_ in found]}"
        name, schema, sealed = found[0]
        assert len(payload) <= MAX_PAYLOAD_BYTES, (topic, len(payload))
        problems = [f"{error.json_path}: {error.message}" for error in schema.iter_errors(json.loads(payload))]
        assert not problems, (topic, payload, problems)
        assert not sealed or SEALED.search(payload), (topic, payload)
        return str(name)
