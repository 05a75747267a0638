import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x03\x00\x01\x01"


class Listener:
    """A paho client that has subscribed to everything and remembers it."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes]] = []
        subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, bytes(message.payload))
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("pumasi/1/#", 1)
        assert subscribed.wait(10)


@contextlib.contextmanager
def serving(replies: list[bytes], heard: list[bytes] | None = None) -> Iterator[int]:
    """The port of a broker that gives one reply to each thing it hears, and hangs up where the reply is empty."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(ConnectionError):
            connection.settimeout(8)
            for reply in replies:
                connection.recv(4096)
                if not reply:
                    return
                connection.sendall(reply)
            # hears the rest out, so that the meter is the one that gives up
            while piece := connection.recv(4096):
                if heard is not None:
                    heard.append(piece)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


@pytest.fixture
def listener(broker: Any) -> Iterator[Listener]:
    listening = Listener(broker.port)
    yield listening
    listening.client.disconnect()
    listening.client.loop_stop()


def test_packet_ids_wrap_and_every_message_arrives_in_order(
    on_device: Callable[..., Any], broker: Any, listener: Listener
) -> None:
    answer = on_device("speak.py", broker.port, 40, 65520, 5000, 0)
    assert answer["ended"] is None and answer["unanswered"] == 0
    # 65521 (the subscription), then 40 more, and 0 is no packet id
    assert answer["packet_id"] == 65521 + 40 - 65535
    readings = [payload for topic, payload in listener.messages if topic.endswith("/reading")]
    assert readings == [b"%d" % number for number in range(40)]


def test_a_lost_connection_publishes_the_last_will(
    on_device: Callable[..., Any], broker: Any, listener: Listener
) -> None:
    on_device("speak.py", broker.port, 0, 0, 5000, 0)
    end = time.monotonic() + 5
    while ("pumasi/1/a/b/status", b"gone") not in listener.messages and time.monotonic() < end:
        time.sleep(0.01)
    assert ("pumasi/1/a/b/status", b"gone") in listener.messages


def test_a_quiet_connection_is_kept_alive(on_device: Callable[..., Any], broker: Any) -> None:
    # keepalive is 1 s: without pings the broker would hang up after 1.5
    assert on_device("speak.py", broker.port, 0, 0, 1000, 3)["ended"] is None


def test_a_message_of_1_kib_is_heard(on_device: Callable[..., Any], broker: Any, listener: Listener) -> None:
    listener.client.publish("pumasi/1/a/b/ack", b"x" * 1024, qos=1, retain=True).wait_for_publish(5)
    assert on_device("speak.py", broker.port, 0, 0, 1000, 1)["heard"] == [["pumasi/1/a/b/ack", 1024]]


def test_nobody_there(on_device: Callable[..., Any]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "OSError" in on_device("speak.py", unused.getsockname()[1], 0, 0, 500, 0)["ended"]


@pytest.mark.parametrize(
    ("replies", "ended"),
    [
        pytest.param([], "TimeoutError", id="no CONNACK"),
        pytest.param([b"\x20\x02\x00\x05"], "ProtocolError: connection refused, code 5", id="not authorised"),
        pytest.param([b"HTTP"], "ProtocolError: no CONNACK", id="not a broker"),
        pytest.param([CONNACK], "TimeoutError", id="no SUBACK"),
        pytest.param([CONNACK, b"\x90\x03\x00\x01\x80"], "ProtocolError: subscription refused", id="may not subscribe"),
        pytest.param([CONNACK, SUBACK], "ProtocolError: no PUBACK", id="no PUBACK"),
        pytest.param([CONNACK, b"\xf0\x00"], "ProtocolError: packet f0", id="a packet that cannot be"),
        pytest.param([CONNACK, b"\x30\xff\xff\xff\xff\x01"], "ProtocolError: a length", id="a length without end"),
        pytest.param([CONNACK, b"\x30\x03\x00\x05a"], "ProtocolError: a malformed", id="a topic beyond the message"),
        pytest.param([CONNACK, b"\x30\x00"], "ProtocolError: a malformed", id="an empty message"),
        pytest.param([CONNACK, b"\x36\x04\x00\x01ab"], "ProtocolError: a malformed", id="QoS 3"),
        pytest.param(
            [CONNACK, b"\x32\xff\xff\x7f\x00\x01"], "ProtocolError: a message of 2097151", id="a huge message"
        ),
        pytest.param([CONNACK, b""], "EOFError", id="hangs up"),
    ],
)
def test_a_bad_broker_ends_the_connection_and_nothing_else(
    on_device: Callable[..., Any], replies: list[bytes], ended: str
) -> None:
    with serving(replies) as port:
        answer = on_device("speak.py", port, 1, 0, 400, 5)
    assert ended in answer["ended"]


def test_a_huge_unconfirmed_message_is_passed_over(on_device: Callable[..., Any]) -> None:
    huge = b"\x00\x01a" + bytes(5000)
    passed_over = b"\x30" + bytes((len(huge) % 128 | 128, len(huge) // 128)) + huge
    with serving([CONNACK, SUBACK + passed_over + b"\x30\x05\x00\x01a12"]) as port:
        answer = on_device("speak.py", port, 0, 0, 1000, 1)
    assert (answer["ended"], answer["oversized"], answer["heard"]) == (None, 1, [["a", 2]])


def test_a_huge_retained_message_does_not_end_each_connection(
    on_device: Callable[..., Any], broker: Any, listener: Listener
) -> None:
    listener.client.publish("pumasi/1/a/b/ack", b"x" * 5000, qos=1, retain=True).wait_for_publish(5)
    answer = on_device("speak.py", broker.port, 3, 0, 2000, 1)
    assert (answer["ended"], answer["oversized"], answer["heard"], answer["unanswered"]) == (None, 1, [], 0)


def test_a_session_of_somebody_else_is_not_gone_on_with(on_device: Callable[..., Any]) -> None:
    with serving([b"\x20\x02\x01\x00"]) as port:
        assert "a session that is not ours" in on_device("speak.py", port, 0, 0, 400, 1)["ended"]


def test_an_answer_to_another_subscription(on_device: Callable[..., Any]) -> None:
    with serving([CONNACK, b"\x90\x03\x00\x07\x01"]) as port:
        assert "an answer to another subscription" in on_device("speak.py", port, 0, 0, 400, 1)["ended"]


def test_what_comes_a_second_time_is_heard_and_answered_again(on_device: Callable[..., Any]) -> None:
    answers: list[bytes] = []
    message = b"\x00\x01a\x00\x09{}"
    once, again = b"\x32\x07" + message, b"\x3a\x07" + message
    with serving([CONNACK, SUBACK + once + again], answers) as port:
        assert on_device("speak.py", port, 0, 0, 400, 1)["heard"] == [["a", 2], ["a", 2]]
    assert b"".join(answers).count(b"\x40\x02\x00\x09") == 2
