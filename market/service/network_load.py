"""What flowed over every edge of the network in an interval, by the meters, whoever traded it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from market.clearing.problem import Ints
from market.clearing.tree import plant
from market.settlement.rules import Rules


@dataclass(frozen=True, eq=False)
class Load:
    """Over nodes.

    Attributes:
        flow_wh: net energy from the node to its parent, negative towards the node [Wh]. An edge whose homes were not
            all heard carried more or less than that.
        homes: members at and below the node.
        heard: how many of them were heard.
    """

    flow_wh: Ints
    homes: Ints
    heard: Ints


def load(rules: Rules, export_wh: Mapping[str, int]) -> Load:
    """``export_wh``: by household, what it exported less what it imported; who was not heard is not there [Wh]."""
    tree = plant(rules.network)
    found = np.zeros((3, rules.network.nodes), np.int64)
    for member in rules.members:
        at = tree.position[member.node]
        net_wh = export_wh.get(member.household)
        found[1, at] += 1
        if net_wh is not None:
            found[0, at] += net_wh
            found[2, at] += 1
    for level in tree.from_leaves():
        here = slice(level.start, level.stop)
        for row in found:
            np.add.at(row, level.parent, row[here])
    flow, homes, heard = found[:, tree.position]
    return Load(flow, homes, heard)
