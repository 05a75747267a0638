"""Random problems that are unkind on purpose: ties, exact limits, empty nodes and sides, one-way edges."""

from __future__ import annotations

import numpy as np

from market import Book, Network


def random_tree(rng: np.random.Generator, nodes: int) -> list[int]:
    kind = rng.integers(4)
    parent = [-1]
    for node in range(1, nodes):
        if kind == 0:
            parent.append(node - 1)
        elif kind == 1:
            parent.append(0)
        elif kind == 2:
            parent.append(int(rng.integers(node)))
        else:
            parent.append(max(0, (node - 1) // 2))
    label = rng.permutation(nodes)
    shuffled = [-1] * nodes
    for node, above in enumerate(parent):
        shuffled[label[node]] = -1 if above < 0 else int(label[above])
    return shuffled


def random_network(rng: np.random.Generator, intervals: int, energy: int, price: int) -> Network:
    nodes = int(rng.choice([1, 2, 3, 5, 8, 12]))
    parent = random_tree(rng, nodes)
    limits = [-1, -1, 0, 1, energy, 2 * energy] if rng.random() < 0.7 else [-1]
    fees = {0: [0], 1: [0, 1, 2], 2: [0, max(1, price // 2), 3 * price + 1]}[int(rng.integers(3))]

    def limit() -> np.ndarray:
        shape = (intervals, nodes) if rng.random() < 0.3 else (nodes,)
        drawn = rng.choice(limits, shape)
        if rng.random() < 0.5:
            drawn = np.where(drawn > 1, rng.integers(0, 2 * energy + 1, shape), drawn)
        return drawn

    down = limit() if rng.random() < 0.5 else None
    fee_down = rng.choice(fees, nodes) if rng.random() < 0.5 else None
    up = limit()
    if down is not None and down.ndim != up.ndim:
        down = None
    return Network(parent, up, rng.choice(fees, nodes), limit_down_wh=down, fee_down_ticks=fee_down)


def random_problem(seed: int) -> tuple[Book, Network]:
    rng = np.random.default_rng(seed)
    intervals = int(rng.choice([1, 1, 2, 4]))
    energy = int(rng.choice([1, 3, 10, 1000, 2**20, 2**31 - 1], p=[0.15, 0.3, 0.25, 0.15, 0.1, 0.05]))
    price = int(rng.choice([1, 3, 20, 30000, 2**20], p=[0.2, 0.3, 0.2, 0.2, 0.1]))
    if energy == 2**31 - 1:
        price = min(price, 20)
    network = random_network(rng, intervals, energy, price)
    orders = int(rng.choice([0, 1, 2, 4, 8, 16, 30]))
    sell = rng.random(orders) < rng.choice([0.0, 0.3, 0.5, 0.7, 1.0], p=[0.05, 0.3, 0.3, 0.3, 0.05])
    shift = int(rng.choice([-price, 0, price // 2]))
    return (
        Book(
            rng.integers(0, intervals, orders) if rng.random() < 0.8 else np.full(orders, intervals - 1),
            rng.integers(0, network.nodes, orders) if rng.random() < 0.8 else np.full(orders, network.nodes - 1),
            sell,
            rng.integers(0, price + 1, orders) + shift + (~sell) * int(rng.choice([0, price // 2])),
            rng.integers(0, energy + 1, orders) if rng.random() < 0.7 else np.full(orders, energy),
            id=rng.permutation(orders) if rng.random() < 0.5 else None,
            intervals=intervals,
        ),
        network,
    )
