"""Metered energy over a tree's edges: sums of what lies below, whether it was traded or not."""

from __future__ import annotations

from firmware.host.community import community_document
from firmware.host.street import load_street, with_homes
from market.service.network_load import load
from market.settlement.rules import parse, split


def test_an_edge_carries_what_all_homes_below_it_gave_and_took() -> None:
    document = community_document(with_homes(load_street(), 3), "c")
    document["network"] = [
        {"node": "root"},
        {"node": "left", "parent": "root"},
        {"node": "right", "parent": "root"},
        {"node": "end", "parent": "left"},
    ]
    homes = []
    for member, node in zip(document["members"], ("end", "left", "right"), strict=True):
        member["node"] = node
        homes.append(member["household"])
    rules = parse(split(document))
    found = load(rules, {homes[0]: 700, homes[1]: -300})
    at = {node: i for i, node in enumerate(rules.nodes)}
    flows = {node: int(found.flow_wh[i]) for node, i in at.items()}
    assert flows == {"end": 700, "left": 400, "right": 0, "root": 400}
    assert {node: int(found.homes[i]) for node, i in at.items()} == {"end": 1, "left": 2, "right": 1, "root": 3}
    assert {node: int(found.heard[i]) for node, i in at.items()} == {"end": 1, "left": 2, "right": 0, "root": 2}
