"""The time series a page reads: an embedded store, or InfluxDB when one is configured."""

from market.series.embedded import EmbeddedSeries
from market.series.environment import series_from_environment
from market.series.points import (
    CommunityPoint,
    FlowPoint,
    HealthPoint,
    HouseholdPoint,
    HouseholdTotals,
    PartnerPoint,
    PartnerTotal,
    Point,
    ReadingPoint,
    Series,
    SeriesError,
)

__all__ = [
    "CommunityPoint",
    "EmbeddedSeries",
    "FlowPoint",
    "HealthPoint",
    "HouseholdPoint",
    "HouseholdTotals",
    "PartnerPoint",
    "PartnerTotal",
    "Point",
    "ReadingPoint",
    "Series",
    "SeriesError",
    "series_from_environment",
]
