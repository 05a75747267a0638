"""What the link listens to, when it waits, what it tells Home Assistant, and what it does when that is forbidden."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.firmware.device.test_display import CONFIG
from tests.firmware.device.test_mqtt import Listener
from tests.firmware.device.test_tls import arm, equip

TOPIC = "pumasi/1/rural3/m001/"
WATTS = [(400, 0)]


class Speaker:
    """Retains what it says, so that it is heard with the subscription."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, 1, retain=True).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def say(broker: Any) -> Any:
    speaker = Speaker(broker.port)
    yield speaker.say
    speaker.close()


def run_link(
    on_device: Callable[..., Any], folder: Path, port: int, scenario: str, stay_s: int = 5, **settings: object
) -> list[list[Any]]:
    config = {**CONFIG, "broker": {"host": "localhost", "port": port, "tls": scenario == "unsynced"}, **settings}
    (folder / "config.json").write_text(json.dumps(config))
    happened: list[list[Any]] = on_device("link_parts.py", scenario, stay_s)
    return happened


def test_config_result_and_price_are_handed_on(
    on_device: Callable[..., Any], tmp_path: Path, broker: Any, say: Callable[..., None]
) -> None:
    say(TOPIC + "config", "settings")
    say(TOPIC + "result", "kilowatts")
    say(TOPIC + "ack", "not ours")
    say("pumasi/1/rural3/m002/config", "of another")
    say("pumasi/1/other/_price", "of others")
    say("pumasi/1/rural3/_price", "end")
    display = {"driver": "ssd1306", "scl": 1, "sda": 2}
    happened = run_link(on_device, tmp_path, broker.port, "listen", display=display)
    heard = [entry for entry in happened if entry[0] in ("config", "result", "price")]
    assert heard == [["config", "settings"], ["result", "kilowatts"], ["price", "end"]]
    # without a display nobody asks for what it would show
    happened = run_link(on_device, tmp_path, broker.port, "listen", 1)
    assert sorted(entry[0] for entry in happened) == ["config", "connected", "last", "ready"]


def test_a_broker_that_lets_nobody_hear_the_price_still_gets_the_readings(
    on_device: Callable[..., Any], tmp_path: Path, broker: Any
) -> None:
    """A refused subscription is said, and the rest goes on; without its acks a meter cannot work."""
    (tmp_path / "access").write_text(f"topic readwrite {TOPIC}#\n")
    broker.kill()
    broker.settings = [f"acl_file {tmp_path}/access"]
    broker.start()
    display = {"driver": "ssd1306", "scl": 1, "sda": 2}
    assert run_link(on_device, tmp_path, broker.port, "listen", 1, display=display)[-1] == ["last", True, None]


def test_a_changed_configuration_makes_a_new_connection_at_once(
    on_device: Callable[..., Any], tmp_path: Path, broker: Any
) -> None:
    happened = run_link(on_device, tmp_path, broker.port, "reconnect", 1)
    assert happened == [["ready"], ["connected", True, None], ["connected", True, None], ["last", True, None]]


def test_a_radio_that_may_be_stuck_is_started_anew_now_and_then(on_device: Callable[..., Any], tmp_path: Path) -> None:
    happened = run_link(on_device, tmp_path, 1, "nobody", 10)
    fresh = [entry[1] for entry in happened if entry[0] == "ensure"]
    assert fresh[:16] == ([False] * 7 + [True]) * 2
    assert happened[-1] == ["last", False, "nobody listens there"]


def test_records_of_a_time_that_was_wrong_do_not_hold_up_those_behind_them(
    on_device: Callable[..., Any], tmp_path: Path, broker: Any, market: Any
) -> None:
    happened = run_link(on_device, tmp_path, broker.port, "astray", 2)
    # those before it were acknowledged first: `first` steps over nothing that the market lacks
    assert market.heard == [0, 1, 4] and market.forged == 0
    assert market.first_heard[4]["first"] == 4
    assert ["outbox", 5, 2, 4] in happened


def test_tls_waits_for_the_time_and_looks_after_the_radio_meanwhile(
    on_device: Callable[..., Any], tmp_path: Path, broker: Any
) -> None:
    broker.kill()
    arm(broker, tmp_path)
    broker.start()
    equip(tmp_path)
    happened = run_link(on_device, tmp_path, broker.port, "unsynced", 2)
    assert happened == [
        ["ensure", False], ["ensure", False], ["ensure", False], ["ready"], ["connected", True, None],
        ["last", True, None],
    ]  # fmt: skip


def test_home_assistant_is_told_of_four_registers(
    make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]
) -> None:
    heard: dict[str, tuple[bytes, bool]] = {}
    subscribed = threading.Event()
    assistant = paho.Client(CallbackAPIVersion.VERSION2)
    assistant.on_subscribe = lambda *_: subscribed.set()
    assistant.on_message = lambda _client, _data, message: heard.update(
        {message.topic: (bytes(message.payload), message.retain)}
    )
    meter = make_meter(broker.port, WATTS, home_assistant=True)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    meter.tick(3)
    wait(lambda: len(market.first_heard) == 3, what="readings")
    wait(lambda: [status for status in market.statuses if status["online"]], what="online")
    # comes later than the messages: they are retained
    assistant.connect("127.0.0.1", broker.port)
    assistant.subscribe("homeassistant/#", 1)
    assistant.loop_start()
    wait(lambda: len(heard) == 4, what="four sensors")
    assistant.disconnect()
    assistant.loop_stop()
    reading = market.first_heard[2]
    for register in ("import_wh", "export_wh", "generation_wh", "consumption_wh"):
        payload, retained = heard[f"homeassistant/sensor/rural3_m001/{register}/config"]
        assert retained
        sensor = json.loads(payload)
        assert (sensor["device_class"], sensor["state_class"]) == ("energy", "total_increasing")
        assert sensor["unit_of_measurement"] == "Wh"
        assert sensor["state_topic"] == TOPIC + "reading" and sensor["availability_topic"] == TOPIC + "status"
        # as Home Assistant does it
        value = jinja2.Template(sensor["value_template"]).render(value_json=reading)
        assert int(value) == reading[register]
        for status, availability in ((market.statuses[-1], "online"), ({"v": 1, "online": False}, "offline")):
            shown = jinja2.Template(sensor["availability_template"]).render(value_json=status)
            assert shown == availability
        assert sensor["unique_id"] == f"pumasi_rural3_m001_{register}"
        assert sensor["device"]["identifiers"] == ["pumasi_rural3_m001"]


def test_home_assistants_messages_are_small_for_the_longest_names(
    on_device: Callable[..., Any], tmp_path: Path
) -> None:
    names = {"community": "c" * 32, "meter": "m" * 32, "board": "b" * 32}
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, **names}))
    sizes = on_device("tell.py")
    assert len(sizes) == 4 and all(topic < 256 and payload <= 1024 for topic, payload in sizes), sizes


def test_a_broker_that_forbids_discovery_costs_no_reading(
    make_meter: Callable[..., Any], broker: Any, tmp_path: Path, wait: Callable[..., None]
) -> None:
    """Mosquitto hangs up on a client of MQTT 3.1.1 that publishes what it may not."""
    (tmp_path / "access").write_text(f"topic readwrite {TOPIC}#\n")
    broker.kill()
    broker.settings = [f"acl_file {tmp_path}/access"]
    broker.start()
    listener = Listener(broker.port)
    meter = make_meter(broker.port, WATTS, home_assistant=True)
    meter.start()
    meter.wait_ready()
    meter.tick(0)
    meter.tick(3)

    def sent() -> list[int]:
        return [json.loads(payload)["seq"] for topic, payload in listener.messages if topic == TOPIC + "reading"]

    wait(lambda: set(sent()) == {0, 1, 2}, what="readings")
    wait(lambda: "Home Assistant is not told" in meter.diagnostics(), what="giving up")
    known = meter.diagnostics().count("link: connected again")
    meter.tick(4)
    wait(lambda: 3 in sent(), what="the next reading")
    assert meter.diagnostics().count("link: connected again") <= known + 1
    listener.client.disconnect()
    listener.client.loop_stop()
