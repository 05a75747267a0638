"""Orders and network from CSV, results as JSON: right answers, and one line for everything wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.commands import main
from market.files import (
    MECHANISMS,
    InputError,
    clear_files,
    read_network,
    read_orders,
    verify_files,
)

NETWORK = "node,parent,limit_wh,fee_per_kwh\nroot,,,0\na,root,,0.01\nb,root,3,0\n"
ORDERS = """order,household,node,side,price_per_kwh,energy_wh
o1,h1,a,sell,0.08,5
o2,h2,b,buy,0.30,4
o3,h3,a,buy,0.25,3
o4,h4,root,sell,0.1,3
"""
GIFTS = ORDERS.replace("0.08", "0").replace("0.1,", "0,")


class Desk:
    def __init__(self, folder: Path) -> None:
        self.orders, self.network, self.result = folder / "orders.csv", folder / "network.csv", folder / "result.json"
        self.write(ORDERS, NETWORK)

    def write(self, orders: str, network: str = NETWORK) -> None:
        self.orders.write_text(orders, encoding="utf-8")
        self.network.write_text(network, encoding="utf-8")

    def clear(self, mechanism: str = "nodal") -> dict[str, object]:
        clear_files(self.orders, self.network, self.result, mechanism, retail="0.30", feed_in="0.08")
        data = json.loads(self.result.read_text(encoding="utf-8"), parse_float=Decimal)
        assert isinstance(data, dict)
        return data

    def verify(self) -> list[str]:
        return [fault.name for fault in verify_files(self.result, self.orders, self.network)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_documented_result(desk: Desk) -> None:
    data = desk.clear()
    assert data["welfare"] == 113_000
    assert data["certificate"] == {"primal": 113_000, "dual": 113_000, "gap": 0}
    names = ("node", "price_per_kwh", "price_low", "price_high", "flow_wh")
    prices = {"root": Decimal("0.1"), "a": Decimal("0.09"), "b": Decimal("0.3")}
    flows = {"root": 0, "a": 2, "b": -3}
    assert data["nodes"] == [dict(zip(names, (n, p, p, p, flows[n]), strict=True)) for n, p in prices.items()]
    assert data["orders"] == [
        {"order": "o1", "accepted_wh": 5, "money": 45_000},
        {"order": "o2", "accepted_wh": 3, "money": -90_000},
        {"order": "o3", "accepted_wh": 3, "money": -27_000},
        {"order": "o4", "accepted_wh": 1, "money": 10_000},
    ]
    assert data["matches"] == [
        {"seller": "o1", "buyer": "o2", "energy_wh": 2},
        {"seller": "o1", "buyer": "o3", "energy_wh": 3},
        {"seller": "o4", "buyer": "o2", "energy_wh": 1},
    ]
    assert (data["pool"], data["fees"], data["rent"]) == (0, 2_000, 60_000)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism_verifies(desk: Desk, mechanism: str) -> None:
    desk.write(GIFTS if mechanism == "bill-sharing" else ORDERS)
    data = desk.clear(mechanism)
    assert data["mechanism"] == mechanism
    assert any(entry["accepted_wh"] for entry in data["orders"])  # type: ignore[attr-defined]
    assert desk.verify() == []


def test_shuffled_rows_change_nothing(desk: Desk) -> None:
    rows = ["e1,zoe,a,sell,0.08,7", "e2,amy,a,sell,0.08,7", "e3,bob,b,buy,0.3,9", "e4,eve,root,sell,0.08,7"]
    header = ORDERS.splitlines()[0]
    seen = set()
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)):
        desk.write("\n".join([header, *(rows[at] for at in order)]))
        data = desk.clear("mid-market")
        entries = data["orders"]
        assert isinstance(entries, list)
        seen.add(tuple(sorted((e["order"], e["accepted_wh"], e["money"]) for e in entries)))
    assert len(seen) == 1


def test_an_empty_book_is_answered(desk: Desk) -> None:
    desk.write(ORDERS.splitlines()[0] + "\n")
    data = desk.clear()
    assert (data["welfare"], data["orders"], data["matches"]) == (0, [], [])
    nodes = data["nodes"]
    assert isinstance(nodes, list)
    assert [entry["price_per_kwh"] for entry in nodes] == [None, None, None]
    assert desk.verify() == []


def test_a_byte_order_mark_and_other_line_ends_are_fine(desk: Desk) -> None:
    desk.orders.write_bytes(b"\xef\xbb\xbf" + ORDERS.replace("\n", "\r\n").encode())
    assert desk.clear()["welfare"] == 113_000


BAD_ORDERS = [
    ("o1,h1,a,sell,nan,5", 2, "price_per_kwh", "not a decimal"),
    ("o1,h1,a,sell,0.123456,5", 2, "price_per_kwh", "more than 5 decimals"),
    ("o1,h1,a,sell,1e3,5", 2, "price_per_kwh", "not a decimal"),
    ("o1,h1,a,sell,10737.41824,5", 2, "price_per_kwh", "below"),
    ("o1,h1,a,sell,0.1,-5", 2, "energy_wh", "0 Wh or more"),
    ("o1,h1,a,sell,0.1,1.5", 2, "energy_wh", "not a whole number"),
    ("o1,h1,a,sell,0.1,\u0665", 2, "energy_wh", "not a whole number"),
    ("o1,h1,a,sell,0.1,99999999999999999999", 2, "energy_wh", "18 digits"),
    ("o1,h1,a,sell,0.1,2147483648", 2, "energy_wh", "below"),
    ("o1,h1,x,sell,0.1,5", 2, "node", "not a node"),
    ("o1,h1,a,give,0.1,5", 2, "side", "neither sell nor buy"),
    (",h1,a,sell,0.1,5", 2, "order", "empty"),
    ("o1,,a,sell,0.1,5", 2, "household", "empty"),
    ("o1,h1,a,sell,0.1", 2, None, "5 values"),
    ("o1,h1,a,sell,0.1,5\no1,h2,a,buy,0.1,5", 3, "order", "twice"),
    ('o1,h1,a,"sell,0.1,5', None, None, "not CSV"),
]


@pytest.mark.parametrize(("rows", "row", "column", "reason"), BAD_ORDERS)
def test_bad_orders_name_the_place(desk: Desk, rows: str, row: int | None, column: str | None, reason: str) -> None:
    desk.write(ORDERS.splitlines()[0] + "\n" + rows + "\n")
    with pytest.raises(InputError) as caught:
        desk.clear()
    assert (caught.value.row, caught.value.column) == (row, column)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("orders.csv")
    assert "\n" not in str(caught.value)
    assert not desk.result.exists()


BAD_NETWORKS = [
    ("root,,,0\nx,,,0", 3, "parent", "root already"),
    ("root,x,,0\nx,root,,0", 2, "parent", "lead back"),
    ("root,,,0\nx,x,,0", 3, "parent", "itself"),
    ("root,,,0\nx,nobody,,0", 3, "parent", "not a node"),
    ("root,,,0\nroot,root,,0", 3, "node", "twice"),
    ("root,,,0\nx,root,-1,0", 3, "limit_wh", "0 or more"),
    ("root,,,0\nx,root,,-0.1", 3, "fee_per_kwh", "0 or more"),
    ("root,,,0\nx,root,,", 3, "fee_per_kwh", "not a decimal"),
    ("root,,,0\nx,root,many,0", 3, "limit_wh", "not a whole number"),
    ("", None, "parent", "at least one node"),
]


@pytest.mark.parametrize(("rows", "row", "column", "reason"), BAD_NETWORKS)
def test_bad_networks_name_the_place(desk: Desk, rows: str, row: int | None, column: str, reason: str) -> None:
    desk.write(ORDERS, NETWORK.splitlines()[0] + "\n" + rows + "\n")
    with pytest.raises(InputError) as caught:
        desk.clear()
    assert (caught.value.row, caught.value.column) == (row, column)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("network.csv")
    assert not desk.result.exists()


def test_headers_and_files_are_named(desk: Desk, tmp_path: Path) -> None:
    desk.write("order,household,node,side,price,energy_wh\n")
    with pytest.raises(InputError, match="row 1, column price_per_kwh: the column is missing"):
        desk.clear()
    desk.write(ORDERS.splitlines()[0] + ",colour\n")
    with pytest.raises(InputError, match="colour"):
        desk.clear()
    desk.orders.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        desk.clear()
    desk.orders.unlink()
    with pytest.raises(InputError, match=r"orders\.csv: No such file"):
        desk.clear()
    desk.write(ORDERS)
    with pytest.raises(InputError, match="unknown mechanism"):
        clear_files(desk.orders, desk.network, desk.result, "magic")
    with pytest.raises(InputError, match="needs the reference prices"):
        clear_files(desk.orders, desk.network, desk.result, "mid-market")
    with pytest.raises(InputError, match=r"result\.json"):
        clear_files(desk.orders, desk.network, tmp_path / "no" / "result.json")


def test_a_sum_beyond_the_bounds_is_named(desk: Desk) -> None:
    rows = "\n".join(f"o{at},h,a,buy,10737.41823,2147483647" for at in range(3))
    desk.write(f"{ORDERS.splitlines()[0]}\n{rows}\n")
    with pytest.raises(InputError, match=r"orders\.csv, row 2, column energy_wh"):
        desk.clear()


def test_optional_columns_differ_by_direction(desk: Desk) -> None:
    header = "node,parent,limit_wh,fee_per_kwh,limit_down_wh,fee_down_per_kwh"
    desk.write(ORDERS, f"{header}\nroot,,,0,,\na,root,2,0.01,,0.5\nb,root,,0,3,\n")
    network = read_network(desk.network).network
    assert network.limit_wh.tolist() == [-1, 2, -1]
    assert network.limit_down_wh.tolist() == [-1, -1, 3]
    assert network.fee_down_ticks.tolist() == [0, 50_000, 0]


TAMPER = [
    (("orders", 0, "accepted_wh"), 9, "energy-over-order"),
    (("orders", 0, "accepted_wh"), 4, "balance-broken"),
    (("nodes", 2, "flow_wh"), -4, "limit-exceeded"),
    (("nodes", 1, "price_per_kwh"), 0.5, "price-outside-interval"),
    (("nodes", 1, "price_low"), 0.07, "price-low-wrong"),
    (("orders", 0, "money"), 45_001, "money-does-not-sum"),
    (("orders", 0, "money"), 1, "against-limit"),
    (("welfare",), 112_999, "welfare-wrong"),
    (("certificate", "dual"), 113_001, "dual-wrong"),
    (("fees",), 1, "fees-wrong"),
    (("matches", 0, "energy_wh"), 1, "match-energy"),
    (("matches", 0, "seller"), "o9", "match-unknown"),
    (("matches", 0, "seller"), "o2", "match-wrong"),
    (("mechanism",), "magic", "mechanism-unknown"),
]


@pytest.mark.parametrize(("place", "value", "name"), TAMPER)
def test_tampered_results_are_named(desk: Desk, place: tuple[object, ...], value: object, name: str) -> None:
    desk.clear()
    data = json.loads(desk.result.read_text(encoding="utf-8"))
    target = data
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    desk.result.write_text(json.dumps(data), encoding="utf-8")
    assert name in desk.verify()


def test_welfare_below_optimum_is_found(desk: Desk) -> None:
    data = desk.clear()
    for entry in data["orders"]:  # type: ignore[attr-defined]
        entry["accepted_wh"] = entry["money"] = 0
    for entry in data["nodes"]:  # type: ignore[attr-defined]
        entry["flow_wh"] = 0
    data.update(matches=[], fees=0, rent=0, welfare=0)
    desk.result.write_text(json.dumps(data, default=float), encoding="utf-8")
    assert desk.verify() == ["not-optimal"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"nodes": 3}', "nonsense", '{"nodes": [{"node": "root"}]}', "[" * 9999]
)
def test_unreadable_results_are_one_line(desk: Desk, text: str) -> None:
    desk.result.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        desk.verify()
    assert "\n" not in str(caught.value)


FUZZ = st.text(alphabet=st.sampled_from('oh1ab,.-"\n\r\0 selbuy09root\u00e9'), max_size=60)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.booleans(), body=FUZZ | st.binary(max_size=40))
def test_readers_survive_anything(tmp_path: Path, head: bool, body: str | bytes) -> None:
    raw = body if isinstance(body, bytes) else body.encode()
    network = tmp_path / "network.csv"
    network.write_text(NETWORK, encoding="utf-8")
    grid = read_network(network)
    for text, read in ((NETWORK, read_network), (ORDERS, lambda path: read_orders(path, grid))):
        path = tmp_path / "fuzz.csv"
        path.write_bytes((text if head else "").encode() + raw)
        try:
            read(path)
        except InputError as error:
            assert "\n" not in str(error)


def test_the_command_refuses_in_one_line_with_status_2(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.orders.write_text(ORDERS.replace("buy", "give"))
    typed = ["clear", "--orders", str(desk.orders), "--network", str(desk.network), "--out", str(desk.result)]
    assert main(typed) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("pumasi: orders.csv, row 3, column side: ")
    assert said.err.count("\n") == 1
    assert not desk.result.exists()
    desk.orders.write_text(ORDERS)
    assert main(typed) == 0
    assert main(["verify", str(desk.result), *typed[1:5]]) == 0
    assert main([*typed[:6], str(desk.orders)]) == 2, "an input is never overwritten"
    assert desk.orders.read_text() == ORDERS
    capsys.readouterr()
    for place in (".", "/dev/null"):
        assert main([*typed[:6], place]) == 2
        assert capsys.readouterr().err.endswith(": is there already and is no ordinary file\n")
    assert Path("/dev/null").is_char_device()
