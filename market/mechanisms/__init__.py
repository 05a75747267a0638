"""Mechanisms: who trades, and who pays what."""

from market.mechanisms.mid_market import mid_market
from market.mechanisms.nodal import nodal
from market.mechanisms.outcome import Outcome

__all__ = ["Outcome", "mid_market", "nodal"]
