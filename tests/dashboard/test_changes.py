"""Event streams: what is sent, when, and that they end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from dashboard.changes import Changes


async def next_event(stream: AsyncIterator[str]) -> str:
    return await asyncio.wait_for(anext(stream), 5)


def test_a_stream_says_the_counter_then_every_change_then_ends() -> None:
    counter, stopping = [7], threading.Event()

    async def scene() -> None:
        changes = Changes(lambda: counter[0], stopping, poll_s=0.01)
        polling = asyncio.create_task(changes.poll())
        stream = changes.stream()
        assert await next_event(stream) == "retry: 1000\n\n"
        assert await next_event(stream) == "event: change\nid: 7\ndata: 7\n\n"
        counter[0] = 8
        assert await next_event(stream) == "event: change\nid: 8\ndata: 8\n\n"
        assert changes.streams == 1
        stopping.set()
        with pytest.raises(StopAsyncIteration):
            await next_event(stream)
        assert changes.streams == 0
        await polling

    asyncio.run(scene())


def test_one_poll_serves_all_and_a_slow_reader_gets_the_newest() -> None:
    asked, stopping = [0], threading.Event()

    def read() -> int:
        asked[0] += 1
        return asked[0]

    async def scene() -> None:
        changes = Changes(read, stopping, poll_s=0.01)
        polling = asyncio.create_task(changes.poll())
        streams = [changes.stream() for _ in range(50)]
        for stream in streams:
            await next_event(stream)
            await next_event(stream)
        await asyncio.sleep(0.2)
        before = asked[0]
        newest = [await next_event(stream) for stream in streams]
        assert before < 60, "the record is asked once for all streams"
        assert all(f"data: {number}\n" not in event for number in range(2, 8) for event in newest)
        stopping.set()
        await polling

    asyncio.run(scene())


def test_heartbeats_keep_an_idle_stream_open() -> None:
    async def scene() -> None:
        changes = Changes(lambda: 1, threading.Event(), poll_s=0.01, heartbeat_s=0.02)
        polling = asyncio.create_task(changes.poll())
        stream = changes.stream()
        events = [await next_event(stream) for _ in range(5)]
        assert events[-2:] == [": still here\n\n"] * 2
        polling.cancel()

    asyncio.run(scene())


def test_a_record_that_fails_is_said_once_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Callable[[], int]] = [lambda: 1, lambda: 1 // 0, lambda: 1 // 0, lambda: 2]
    stopping = threading.Event()

    async def scene() -> None:
        changes = Changes(lambda: (answers.pop(0) if len(answers) > 1 else answers[0])(), stopping, poll_s=0.01)
        polling = asyncio.create_task(changes.poll())
        stream = changes.stream()
        events = [await next_event(stream) for _ in range(3)]
        assert events[-1].endswith("data: 2\n\n")
        stopping.set()
        await polling

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    assert [record.getMessage() for record in caplog.records].count(
        "the record cannot be read: integer division or modulo by zero"
    ) == 1
