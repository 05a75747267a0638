"""What ``pumasi clear`` and ``pumasi verify`` do: orders and a network in, a result out, and the check of it."""

from __future__ import annotations

from pathlib import Path

from market.clearing.problem import ProblemError
from market.mechanisms.named import MECHANISMS, NEED_REFERENCE, run_mechanism
from market.mechanisms.outcome import Outcome
from market.order_files import InputError, order_error, read_network, read_orders
from market.result_files import verify_files, write_result
from market.units import ticks

__all__ = ["MECHANISMS", "InputError", "clear_files", "read_network", "read_orders", "verify_files"]


def clear_files(
    orders: Path | str,
    network: Path | str,
    out: Path | str,
    mechanism: str = "nodal",
    retail: str | None = None,
    feed_in: str | None = None,
) -> Outcome:
    """Clear orders.csv on network.csv and write result.json. Raises InputError and then writes nothing."""
    prices = {}
    for option, text in (("retail", retail), ("feed-in", feed_in)):
        try:
            prices[option] = None if text is None else ticks(text)
        except ValueError as error:
            raise InputError(f"--{option}", None, None, str(error)) from error
    if prices["retail"] is not None and prices["feed-in"] is not None and prices["retail"] < prices["feed-in"]:
        raise InputError("--retail", None, None, "must not be below --feed-in")
    for given in (orders, network):
        if Path(out).resolve() == Path(given).resolve():
            raise InputError("--out", None, None, f"{out} is an input; it would be overwritten")
    grid = read_network(network)
    placed = read_orders(orders, grid)
    try:
        outcome = run_mechanism(
            mechanism, placed.book, grid.network, retail_ticks=prices["retail"], feed_in_ticks=prices["feed-in"]
        )
    except ProblemError as error:
        raise order_error(Path(orders), placed.rows, error) from error
    except ValueError as error:
        raise InputError("--mechanism", None, None, str(error)) from error
    reference = None if mechanism not in NEED_REFERENCE else (prices["retail"], prices["feed-in"])
    write_result(Path(out), placed, grid, outcome, reference)
    return outcome
