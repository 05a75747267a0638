"""The time series a page reads: an embedded store, or InfluxDB when one is configured."""

from market.series.embedded import EmbeddedSeries
from market.series.environment import series_from_environment
from market.series.points import (
    CommunityPoint,
    HouseholdPoint,
    HouseholdTotals,
    PartnerPoint,
    PartnerTotal,
    Point,
    Series,
    SeriesError,
)

__all__ = [
    "CommunityPoint",
    "EmbeddedSeries",
    "HouseholdPoint",
    "HouseholdTotals",
    "PartnerPoint",
    "PartnerTotal",
    "Point",
    "Series",
    "SeriesError",
    "series_from_environment",
]
