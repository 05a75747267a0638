"""What the chain adds to a gate closure, and what a household's proof weighs.

    python -m benchmarks.proofs [--homes 12 1000 10000]

A closure's tree, digests and head are made again from the record, as its gate made them; one household's proof is
exported and verified by the pure Python verifier.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest import mock

import msgspec

from benchmarks.settlement import LENGTH_S, START, document, read
from market.proof.verify import check_proof
from market.record import Record
from market.service.chain import Chain
from market.service.chain_check import ChainCheck
from market.service.chain_keys import chain_keys
from market.service.closures import derive
from market.service.gates import Gates
from market.service.proofs import proof_of
from market.settlement.rules import split

CLOSURES = 3
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--homes", type=int, nargs="+", default=[12, 1_000, 10_000])
    print(f"{'homes':>7} {'closure':>10} {'a home':>9} {'proof':>9} {'made in':>9} {'verified':>9} {'audited':>10}")
    for homes in parser.parse_args().homes:
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder), homes)


def _measure(store: Path, homes: int) -> None:
    record = Record(store)
    record.store_inputs(split(document(homes)), now=0)
    read(record, homes, CLOSURES)
    gates = Gates(record, 0.0, 0, Chain(record, store))
    with mock.patch("market.service.gates.SOLVER", "curve"):
        for _ in range(CLOSURES):
            gates.now = gates.next_start + LENGTH_S
            gates.close_next()
    secret = chain_keys(store).secret
    gate = next(record.gates(after=CLOSURES - 1))
    row = record.chain_row(gate.number)
    assert row is not None
    before = msgspec.json.decode(row.sealed)
    # A closure digests the readings since the one before: here they came all at once.
    before["reading"]["up_to"] -= homes
    _, closure_s = _timed(lambda: derive(record, gate, before, secret))
    household = f"h{homes // 2:06}"
    proof, made_s = _timed(lambda: proof_of(record, store, household, START, LENGTH_S, "interval"))
    checks, verified_s = _timed(lambda: check_proof(proof))
    assert checks[-1].holds, checks[-1]
    check = ChainCheck(record, store)
    _, audited_s = _timed(lambda: [check.check(gate) for gate in record.gates()], 1)
    record.close()
    print(
        f"{homes:>7,} {closure_s * 1000:>7,.1f} ms {closure_s / homes * 1e6:>6.0f} us {len(proof):>7,} B"
        f" {made_s * 1000:>6,.0f} ms {verified_s * 1000:>6,.1f} ms {audited_s / CLOSURES * 1000:>7,.1f} ms"
    )


def _timed(work: Callable[[], T], times: int = 3) -> tuple[T, float]:
    """What it returns, and the least processor time it took [s]: other programs that run meanwhile do not count."""
    took_s = []
    for _ in range(times):
        began = time.process_time()
        found = work()
        took_s.append(time.process_time() - began)
    return found, min(took_s)


if __name__ == "__main__":
    main()
