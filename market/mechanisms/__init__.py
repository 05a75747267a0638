"""Mechanisms: who trades, and who pays what."""

from market.mechanisms.nodal import nodal
from market.mechanisms.outcome import Outcome
from market.mechanisms.pay_as_bid import pay_as_bid
from market.mechanisms.presets import PRESETS, Preset
from market.mechanisms.reference import bill_sharing, mid_market, supply_demand_ratio
from market.mechanisms.sharing import ex_ante, hierarchical, per_pair, proportional, static

__all__ = [
    "PRESETS",
    "Outcome",
    "Preset",
    "bill_sharing",
    "ex_ante",
    "hierarchical",
    "mid_market",
    "nodal",
    "pay_as_bid",
    "per_pair",
    "proportional",
    "static",
    "supply_demand_ratio",
]
