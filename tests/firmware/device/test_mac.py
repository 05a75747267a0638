import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parents[3] / "broker" / "vectors.json"


def test_seals_as_the_contract_vectors_say(on_device: Callable[..., Any]) -> None:
    answer = on_device("seal.py", VECTORS)
    assert answer["sealed"] == [vector["sealed"] for vector in json.loads(VECTORS.read_text())["seal"]]
    assert answer["rfc"] == [
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ]


def test_derives_keys_as_the_contract_vectors_say(on_device: Callable[..., Any]) -> None:
    vectors = json.loads(VECTORS.read_text())
    assert vectors["derive"] and vectors["rotate"]
    answer = on_device("derive.py", VECTORS)
    assert answer["derived"] == [vector["key"] for vector in vectors["derive"]]
    assert answer["rotated"] == [vector["next"] for vector in vectors["rotate"]]
