"""What is put in comes out, in order; a full inbox holds back who puts in."""

from __future__ import annotations

import threading

from market.service.inbox import Inbox


def test_bursts_come_out_in_order_and_no_more_than_asked_for() -> None:
    inbox: Inbox[int] = Inbox(100)
    assert inbox.put([1, 2, 3], 0)
    assert inbox.put([4], 0)
    assert inbox.take(2, 0) == [1, 2]
    assert inbox.take(10, 0) == [3, 4]
    assert inbox.take(10, 0) == []


def test_nothing_of_a_burst_is_put_in_while_it_is_full() -> None:
    inbox: Inbox[int] = Inbox(2)
    assert inbox.put([1, 2, 3], 0), "there was room when it came"
    assert not inbox.put([4], 0)
    assert inbox.take(1, 0) == [1]
    assert not inbox.put([4], 0), "two are in it still"
    assert inbox.take(1, 0) == [2]
    assert inbox.put([4], 0)
    assert inbox.take(10, 0) == [3, 4]


def test_who_waits_for_room_is_woken_by_what_is_taken() -> None:
    inbox: Inbox[int] = Inbox(1)
    inbox.put([1], 0)
    taken: list[int] = []
    taker = threading.Thread(target=lambda: taken.extend(inbox.take(1, 60)))
    taker.start()
    assert inbox.put([2], 60)
    taker.join()
    assert taken == [1]
    assert inbox.take(1, 60) == [2]
