import gzip
import importlib.util
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from firmware.host import street as street_module
from firmware.host.street import MAX_HOMES, Street, load_street, with_homes
from firmware.host.streets import make

ID = re.compile(r"[a-z0-9-]{1,32}")


@pytest.fixture(scope="module")
def street() -> Street:
    return load_street()


def check_tree(street: Street, root: str) -> None:
    seen: set[str] = set()
    for node in street.nodes:
        assert ID.fullmatch(node.node)
        assert node.node not in seen
        assert node.parent in seen if node.node != root else node.parent is None
        seen.add(node.node)
    assert {home.node for home in street.homes} <= seen


def feeder_of(street: Street) -> dict[str, str]:
    feeder: dict[str, str] = {}
    for node in street.nodes:
        if node.level == "feeder":
            feeder[node.node] = node.node
        elif node.parent in feeder:
            feeder[node.node] = feeder[node.parent]
    return feeder


def test_what_the_week_is(street: Street) -> None:
    assert (street.grid, street.licence, street.timezone) == ("1-LV-rural3--2-sw", "ODbL-1.0", "Europe/Berlin")
    start = datetime.fromtimestamp(street.start, ZoneInfo(street.timezone))
    assert start.isoformat() == "2016-07-11T00:00:00+02:00"
    assert start.weekday() == 0
    assert (street.step_s, street.steps) == (900, 672)
    assert street.start % street.step_s == 0


def test_the_grid_is_a_tree_from_the_transformer_down(street: Street) -> None:
    check_tree(street, "substation")
    assert Counter(node.level for node in street.nodes) == {"substation": 1, "feeder": 9, "bus": 118}
    parents = {node.node: node.parent for node in street.nodes}
    for node in street.nodes:
        assert (node.level == "feeder") == (parents[node.node] == "substation")


def test_every_household_is_there_with_whole_watts(street: Street) -> None:
    assert [home.household for home in street.homes] == [f"h{i:03d}" for i in range(1, 119)]
    assert len({home.node for home in street.homes}) == 118  # one bus, one household
    assert sum(home.prosumer for home in street.homes) == 27
    for home in street.homes:
        for power in (home.load_w, home.generation_w):
            assert len(power) == street.steps
            assert all(type(w) is int and 0 <= w < 100_000 for w in power)
    # the sums of the package's own profiles over this week [kWh], to what rounding to watts can change
    assert sum(sum(home.load_w) for home in street.homes) / 4000 == pytest.approx(4975, abs=1)
    assert sum(sum(home.generation_w) for home in street.homes) / 4000 == pytest.approx(3910, abs=1)


def test_the_sun_shines_by_day(street: Street) -> None:
    by_hour = [0] * 24
    for home in street.homes:
        for step, power_w in enumerate(home.generation_w):
            by_hour[step // 4 % 24] += power_w
    assert max(range(24), key=by_hour.__getitem__) in (12, 13)  # local time, one hour of summer time
    assert sum(by_hour[:5]) + sum(by_hour[22:]) == 0


def test_the_first_twelve_are_a_street_that_trades(street: Street) -> None:
    twelve = with_homes(street, 12).homes
    assert sum(home.prosumer for home in twelve) == 5
    feeder = feeder_of(street)
    assert len({feeder[home.node] for home in twelve}) >= 3
    traded_by_day = [0.0] * 7
    for step in range(street.steps):
        net_w = [home.generation_w[step] - home.load_w[step] for home in twelve]
        offered, wanted = sum(w for w in net_w if w > 0), -sum(w for w in net_w if w < 0)
        traded_by_day[step // 96] += min(offered, wanted) / 4000
    assert all(kwh > 10 for kwh in traded_by_day)


@pytest.mark.parametrize("n", [1, 12, 118, 119, 1000])
def test_any_number_of_homes(street: Street, n: int) -> None:
    grown = with_homes(street, n)
    assert len(grown.homes) == n == len({home.household for home in grown.homes})
    assert all(ID.fullmatch(home.household) and ID.fullmatch(home.meter) for home in grown.homes)
    assert len({home.meter for home in grown.homes}) == n
    check_tree(grown, "district" if n > 118 else "substation")
    assert grown.homes[: min(n, 118)] == street.homes[:n]


@pytest.mark.parametrize("n", [0, -1, MAX_HOMES + 1])
def test_a_number_of_homes_out_of_bounds_is_refused(street: Street, n: int) -> None:
    with pytest.raises(ValueError, match="1 to 100000 homes"):
        with_homes(street, n)


def test_a_copy_is_moved_by_whole_days(street: Street) -> None:
    copies = with_homes(street, 118 * 8).homes
    first, second, eighth = copies[2], copies[118 + 2], copies[7 * 118 + 2]
    assert (first.household, second.household, second.meter) == ("h003", "s2-h003", "s2-m003")
    assert second.node == f"s2-{first.node}"
    assert second.load_w[:-96] == first.load_w[96:]
    assert second.load_w[-96:] == first.load_w[:96]
    assert second.load_w != first.load_w == eighth.load_w
    assert second.generation_w is first.generation_w


def test_the_licence_and_attribution_travel_with_the_data() -> None:
    folder = street_module.RURAL3.parent
    notice = (folder / "LICENSE-ODbL.md").read_text(encoding="utf-8")
    for words in ("Open Database License (ODbL) 1.0", "opendatacommons.org/licenses/odbl", "SimBench", "simbench.net"):
        assert words in notice
    assert "LICENSE-ODbL.md" in (folder / "README.md").read_text(encoding="utf-8")
    assert street_module.RURAL3.stat().st_size < 1_000_000
    assert "ODbL" in load_street().attribution


@pytest.mark.skipif(importlib.util.find_spec("simbench") is None, reason="the extra simbench is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_script_repeats_the_file(tmp_path: Path) -> None:
    out = tmp_path / "again.json.gz"
    assert make.main([str(out)]) == 0
    # the compressed bytes may differ where zlib is another implementation; the text may not
    assert gzip.decompress(out.read_bytes()) == gzip.decompress(street_module.RURAL3.read_bytes())
    assert make.main([str(tmp_path / "twice.json.gz")]) == 0
    assert (tmp_path / "twice.json.gz").read_bytes() == out.read_bytes()
