"""The default mechanism: a posted price halfway between retail and feed-in, known beforehand, the same for all."""

from market.mechanisms.reference import mid_market, posted_price

__all__ = ["mid_market", "posted_price"]
