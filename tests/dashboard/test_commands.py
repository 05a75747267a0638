"""``pumasi dashboard``: init, invite, run; over https with the community's own authority."""

from __future__ import annotations

import datetime as dt
import http.client
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.certificates import read_certificate
from dashboard import settings
from dashboard.accounts import Accounts
from dashboard.certificate import expiry_notice
from market.commands import main

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"^  (https?://[a-z0-9.-]+(?::\d+)?)/invitation/([A-Za-z0-9_-]{43})$", re.MULTILINE)


@pytest.fixture
def store(settled_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(settled_store, tmp_path / "store"))


@pytest.fixture
def pumasi(capsys: pytest.CaptureFixture[str], store: Path) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(["dashboard", *arguments, "--store", str(store)])
        except SystemExit as end:
            status = int(str(end.code))
        out, err = capsys.readouterr()
        return status, out, err

    return run


Run = Callable[..., tuple[int, str, str]]


def test_init_invites_the_first_operator_once_and_makes_no_password(pumasi: Run, store: Path) -> None:
    status, out, err = pumasi("init")
    assert (status, err) == (0, "")
    found = LINK.search(out)
    assert found is not None and found[1] == "http://localhost:8000"
    accounts = Accounts(store)
    assert accounts.people() == [], "nobody, and no default password"
    assert [invitation.role for invitation in accounts.invitations()] == ["operator"]
    accounts.open_door("boss", "operator", None, 60)
    accounts.close()
    status, out, err = pumasi("init", "--port", "9000")
    assert status == 0
    assert "there is an operator already" in out
    assert LINK.search(out) is None
    assert "http://localhost:9000" in out


def test_what_was_set_stays_and_what_is_given_changes(pumasi: Run, store: Path) -> None:
    carbon = ("--carbon-g-per-kwh", "363", "--carbon-source", "UBA 2025")
    assert pumasi("init", "--name", "Pumasi.Example.", *carbon)[0] == 0
    assert pumasi("init", "--port", "443", "--open-data-licence", "CC-BY-4.0")[0] == 0
    kept = settings.load(store)
    assert (kept.name, kept.port, kept.licence) == ("pumasi.example", 443, "CC-BY-4.0")
    assert kept.carbon == settings.Carbon(363, "UBA 2025")
    path = store / "dashboard" / "settings.json"
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_name_says_what_becomes_of_passkeys(pumasi: Run, store: Path) -> None:
    assert pumasi("init")[0] == 0
    accounts = Accounts(store)
    account = accounts.open_door("boss", "operator", None, 60) and accounts.people()[0].account
    accounts.db.write("INSERT INTO passkey VALUES(x'00', 'a', ?, '', x'00', 0, 0, NULL)", (account,))
    accounts.close()
    assert "passkeys" not in pumasi("init", "--name", "localhost")[2]
    assert "passkeys made under localhost do not work under p.example" in pumasi("init", "--name", "p.example")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("init", "--name", "192.168.1.5"), "--name 192.168.1.5: not a DNS name; passkeys need one"),
        (("init", "--name", "a b"), "--name a b: not a DNS name"),
        (("init", "--name", "x" * 254), "not a DNS name"),
        (("init", "--port", "0"), "port"),
        (("init", "--port", "65536"), "port"),
        (("init", "--carbon-g-per-kwh", "363"), "--carbon-g-per-kwh and --carbon-source belong together"),
        (("init", "--carbon-g-per-kwh", "-1", "--carbon-source", "x"), "g_per_kwh"),
        (("init", "--certificate"), "there is no broker here; make one: pumasi broker init"),
        (("invite", "--role", "household"), "--household belongs to --role household"),
        (("invite", "--household", "h001"), "--household belongs to --role household"),
        (("invite", "--role", "household", "--household", "h999"), "--household h999: no such household; known: h001"),
        (("run", "--port", "99999"), "99999"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_and_status_2(
    pumasi: Run, arguments: tuple[str, ...], said: str, store: Path
) -> None:
    status, out, err = pumasi(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not (store / "dashboard" / "settings.json").exists()


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "init", "--store", str(tmp_path / "nothing")]) == 2
    assert "there is no record here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_none_are_refused_by_name(pumasi: Run, store: Path) -> None:
    pumasi("init")
    path = store / "dashboard" / "settings.json"
    path.write_text('{"name": "x", "colour": "green"}')
    status, _, err = pumasi("run", "--port", "0")
    assert status == 2
    assert err == f"pumasi: {path}: Object contains unknown field `colour`\n"


def test_invite_prints_a_link_for_whom_it_is(pumasi: Run, store: Path) -> None:
    status, out, _ = pumasi("invite", "--role", "household", "--household", "h002")
    assert status == 0
    assert out.startswith("for household h002, once, within a week:\n")
    status, out, _ = pumasi("invite", "--role", "auditor")
    assert out.startswith("for an auditor, once, within a week:\n")
    accounts = Accounts(store)
    # Made in one second, they stand in no particular order.
    assert {(i.role, i.household, i.made_by) for i in accounts.invitations()} == {
        ("household", "h002", "pumasi dashboard"), ("auditor", None, "pumasi dashboard")
    }  # fmt: skip
    assert [entry.action for entry in accounts.log_entries()] == ["invite", "invite"]
    accounts.close()


class Running:
    """``pumasi dashboard run`` in a process of its own."""

    def __init__(self, store: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "market.commands", "dashboard", "run", "--store", str(store), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"(https?)://([^:]+):(\d+)", self.process.stdout.readline())
        assert found is not None, self.process.communicate(timeout=10)
        self.scheme, self.name, self.port = found[1], found[2], int(found[3])

    def visit(self, **headers: str) -> str:
        """The cookie that the sign-in page sets: its name says whether the visitor came over https."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/sign-in", headers=headers)
        cookie = connection.getresponse().headers["Set-Cookie"]
        connection.close()
        return cookie.partition("=")[0]

    def health(self) -> int:
        """Only once it answers does it also listen to signals."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/health")
        status = connection.getresponse().status
        connection.close()
        return status

    def end(self) -> str:
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=10)
        assert self.process.returncode == 0
        return err


@pytest.fixture
def secure(store: Path, pumasi: Run) -> Iterator[Running]:
    assert main(["broker", "init", "--store", str(store), "--host", "broker.example"]) == 0
    status, out, err = pumasi("init", "--name", "pumasi.example", "--certificate")
    assert (status, err) == (0, "")
    assert re.search(r"certificate for pumasi\.example: valid for (729|730) days", out)
    assert "https://pumasi.example:8000/invitation/" in out
    running = Running(store)
    yield running
    if running.process.poll() is None:
        running.end()


def test_over_https_with_the_communitys_own_authority(secure: Running, store: Path) -> None:
    assert (secure.scheme, secure.name) == ("https", "pumasi.example")
    context = ssl.create_default_context(cafile=store / "broker" / "ca.pem")
    connection = http.client.HTTPSConnection("127.0.0.1", secure.port, context=context, timeout=10)
    # As a browser does that has looked the name up.
    reached = socket.create_connection(("127.0.0.1", secure.port), timeout=10)
    connection.sock = context.wrap_socket(reached, server_hostname="pumasi.example")
    connection.request("GET", "/sign-in", headers={"Host": f"pumasi.example:{secure.port}"})
    answer = connection.getresponse()
    page = answer.read().decode()
    assert answer.status == 200
    assert "data-passkey=" in page, "passkeys are there"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-visit=")
    assert "Secure" in cookie
    connection.close()
    key = store / "dashboard" / "server.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert secure.end() == ""


def test_a_certificate_that_ends_soon_is_said_and_a_half_pair_refused(
    store: Path, pumasi: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["broker", "init", "--store", str(store), "--host", "broker.example"]) == 0
    pumasi("init", "--name", "pumasi.example", "--certificate")
    assert expiry_notice(store) is None
    made = read_certificate((store / "dashboard" / "server.pem").read_bytes())
    monkeypatch.setattr("broker.site.now", lambda: made.not_valid_after_utc - dt.timedelta(days=3))
    assert (expiry_notice(store) or "").endswith("ends in 3 days; renew: pumasi dashboard init --certificate")
    monkeypatch.setattr("broker.site.now", lambda: made.not_valid_after_utc + dt.timedelta(days=1))
    assert "ended" in (expiry_notice(store) or "")
    (store / "dashboard" / "server.key").unlink()
    status, _, err = pumasi("run", "--port", "0")
    assert status == 2
    assert "server.key: missing beside the other" in err


def test_files_that_are_no_certificate_are_one_line(store: Path, pumasi: Run) -> None:
    assert main(["broker", "init", "--store", str(store), "--host", "broker.example"]) == 0
    pumasi("init", "--name", "pumasi.example", "--certificate")
    (store / "dashboard" / "server.key").write_text("no key")
    status, _, err = pumasi("run", "--port", "0")
    assert status == 2
    assert err.startswith("pumasi dashboard: ")
    assert err.count("\n") == 1


def test_another_port_than_that_of_the_links_is_said(store: Path) -> None:
    running = Running(store)
    assert running.process.stdout is not None
    said = running.process.stdout.readline()
    assert said == "links of init and invite name http://localhost:8000; another port: pumasi dashboard init --port\n"
    assert running.health() == 200
    assert running.end() == ""


def test_it_listens_on_this_machine_only_unless_told(store: Path) -> None:
    running = Running(store)
    assert (running.scheme, running.name, running.health()) == ("http", "localhost", 200)
    listening = Path(f"/proc/{running.process.pid}/net/tcp")
    if listening.exists():
        bound = [line.split()[1] for line in listening.read_text().splitlines()[1:] if line.split()[3] == "0A"]
        assert f"0100007F:{running.port:04X}" in bound
    assert running.end() == ""


@pytest.mark.parametrize(("arguments", "believed"), [((), "visit"), (("--behind-proxy",), "__Host-visit")])
def test_a_proxys_word_is_taken_only_where_there_is_one(store: Path, arguments: tuple[str, ...], believed: str) -> None:
    running = Running(store, *arguments)
    assert running.health() == 200
    assert running.visit(**{"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}) == believed
    assert running.visit() == "visit"
    running.end()
