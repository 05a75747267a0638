"""Which series a process uses, from the environment it is handed. Nothing else reads these variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from market.series.embedded import FILE_NAME, EmbeddedSeries
from market.series.points import Series, SeriesError

URL = "PUMASI_INFLUX_URL"
TOKEN = ("PUMASI_INFLUX_TOKEN", "PUMASI_INFLUX_ORG", "PUMASI_INFLUX_BUCKET")
PASSWORD = ("PUMASI_INFLUX_USER", "PUMASI_INFLUX_PASSWORD", "PUMASI_INFLUX_DATABASE")


def series_from_environment(
    environ: Mapping[str, str], directory: Path, *, community: str, read_only: bool = False
) -> Series:
    """InfluxDB when PUMASI_INFLUX_URL is set, otherwise `series.sqlite` in the store's directory.

    `read_only` is for processes that only show: they wait for no lock and make no file. Raises
    SeriesError when the URL is set and the credentials are not complete.
    """
    url = environ.get(URL, "")
    if not url:
        return EmbeddedSeries(directory / FILE_NAME, read_only=read_only)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SeriesError(f"{URL} is not an http:// or https:// address")
    if parts.username or parts.password:
        raise SeriesError(f"{URL} must not hold credentials: use {PASSWORD[0]} and {PASSWORD[1]}")
    # Imports that only a configured InfluxDB needs.
    from market.series.influx import InfluxSeries

    token, password = ({name: environ.get(name, "") for name in names} for names in (TOKEN, PASSWORD))
    if all(token.values()):
        secret, org, bucket = token.values()
        return InfluxSeries.with_token(url, secret, org, bucket, community)
    if all(password.values()):
        user, word, database = password.values()
        return InfluxSeries.with_password(url, user, word, database, community)
    begun = next((names for names in (TOKEN, PASSWORD) if any(environ.get(name) for name in names)), None)
    if begun is not None:
        missing = ", ".join(name for name in begun if not environ.get(name))
        raise SeriesError(f"{URL} is set but {missing} is not")
    raise SeriesError(f"{URL} is set; set either {', '.join(TOKEN)} or {', '.join(PASSWORD)}")
