"""The parts below the pages: the file, hashes, limits, challenges, the log."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from dashboard.accounts import Accounts, AccountsError, ByCommand, actions, limits, passkeys, passwords, sessions
from dashboard.accounts import people as rows
from dashboard.accounts.limits import Limits
from dashboard.accounts.passkeys import Challenges, PasskeyError

SOMEBODY = ByCommand("somebody")


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    rows.add(accounts.db, "Mina", "household", "h001", None, 0)
    for path in [tmp_path / "dashboard", *(tmp_path / "dashboard").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path
    accounts.close()


def test_a_file_of_another_format_is_refused_by_name(tmp_path: Path) -> None:
    Accounts(tmp_path).close()
    path = tmp_path / "dashboard" / "accounts.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=7")
    connection.close()
    with pytest.raises(AccountsError, match="accounts of format 7; this version reads 1"):
        Accounts(tmp_path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(AccountsError, match="not a database"):
        Accounts(tmp_path)


def test_what_fails_within_a_transaction_leaves_nothing(accounts: Accounts) -> None:
    with pytest.raises(rows.NameTakenError), accounts.db.transaction():
        rows.add(accounts.db, "Mina", "household", "h001", None, 0)
        rows.add(accounts.db, "mina", "household", "h001", None, 0)
    assert accounts.people() == []


def test_an_invitation_is_used_once_whoever_is_faster(accounts: Accounts) -> None:
    from dashboard.accounts import invitations

    token = accounts.invite("household", "h001", SOMEBODY)
    used = []
    racers = [
        threading.Thread(target=lambda: used.append(invitations.use(accounts.db, token, accounts.now())))
        for _ in range(8)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(used) == [False] * 7 + [True]


def test_invitations_end_after_a_week_or_when_withdrawn(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard.accounts import invitations

    first, second = (accounts.invite("household", "h001", SOMEBODY) for _ in range(2))
    waiting = accounts.invitations()
    assert [invitation.household for invitation in waiting] == ["h001", "h001"]
    kept = invitations.find(accounts.db, first, accounts.now())
    assert kept is not None
    assert accounts.withdraw(kept.invitation)
    assert not accounts.withdraw(kept.invitation)
    assert invitations.find(accounts.db, first, accounts.now()) is None
    week = accounts.now() + invitations.LIFETIME_S
    assert invitations.find(accounts.db, second, week - 60) is not None
    assert invitations.find(accounts.db, second, week + 1) is None


def test_passwords_are_hashed_as_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the quick ones of the other tests
    kept = passwords.hashed("three small green kettles")
    found = extract_parameters(kept)
    assert (found.type, found.time_cost, found.memory_cost) == (Type.ID, 3, 65_536), "RFC 9106, section 4"
    assert extract_parameters(passwords._NOBODY) == found
    assert passwords.right(kept, "three small green kettles")


def test_the_same_letters_typed_differently_are_one_password() -> None:
    kept = passwords.hashed("cafe\u0301 und mehr davon")
    assert passwords.right(kept, "caf\u00e9 und mehr davon")
    assert not passwords.right(kept, "cafe und mehr davon")
    assert not passwords.right(None, "a password that nobody has")
    assert not passwords.right("no hash at all", "x")


def test_tries_come_back_with_time_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    limited = Limits({"name": 3, "address": 5}, 60, lambda: now[0])
    assert [limited.wait_s({"name": "a", "address": "x"}) for _ in range(4)] == [0, 0, 0, 20]
    assert [limited.wait_s({"name": "b", "address": "x"}) for _ in range(3)] == [0, 0, 12]
    now[0] = 20.0
    assert limited.wait_s({"name": "a", "address": "x"}) == 0
    assert limited.wait_s({"name": "a", "address": "x"}) > 0
    limited.forget({"name": "a"})
    assert limited.wait_s({"name": "a"}) == 0
    monkeypatch.setattr(limits, "KEYS_KEPT", 100)
    for number in range(1000):
        limited.wait_s({"name": str(number)})
    assert len(limited._left) == 100


def test_a_challenge_is_answered_once_in_time_and_for_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    challenges = Challenges(lambda: now[0])
    number, challenge = challenges.begin("sign-in")
    assert challenges.take(number, "sign-in").challenge == challenge
    other, _ = challenges.begin("sign-in")
    late, _ = challenges.begin("sign-in")
    now[0] = passkeys.CHALLENGE_S + 1
    for wrong, purpose in ((number, "sign-in"), (other, "passkey"), (late, "sign-in"), ("x", "sign-in")):
        with pytest.raises(PasskeyError, match="passkey-late"):
            challenges.take(wrong, purpose)
    monkeypatch.setattr(passkeys, "CHALLENGES_KEPT", 10)
    for _ in range(50):
        challenges.begin("sign-in")
    assert len(challenges._open) == 10


@pytest.mark.parametrize(
    ("scheme", "host", "name", "why"),
    [
        ("http", "localhost", "localhost", None),
        ("https", "pumasi.example", "pumasi.example", None),
        ("http", "127.0.0.1", "localhost", "use-localhost"),
        ("http", "pumasi.example", "pumasi.example", "needs-https"),
        ("http", "192.168.1.4", "pumasi.example", "needs-https"),
        ("https", "192.168.1.4", "pumasi.example", "other-name"),
        ("https", "other.example", "pumasi.example", "other-name"),
    ],
)
def test_where_passkeys_are(scheme: str, host: str, name: str, why: str | None) -> None:
    assert passkeys.where(scheme, host, name) == why


def test_sessions_of_one_account_are_bounded(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_PER_ACCOUNT", 3)
    account = rows.add(accounts.db, "Mina", "household", "h001", None, 0).account
    begun = [sessions.begin(accounts.db, account, "", "", accounts.now() + number) for number in range(5)]
    assert [sessions.find(accounts.db, token, accounts.now() + 5) is not None for token in begun] == [False] * 2 + [
        True
    ] * 3


def test_the_log_keeps_the_newest(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "KEPT", 10)
    monkeypatch.setattr(actions, "DROPPED_AT_ONCE", 5)
    for number in range(40):
        accounts.log(SOMEBODY, "act", str(number), "h001")
    entries = accounts.log_entries()
    assert [entry.detail for entry in entries[:3]] == ["39", "38", "37"]
    assert 10 <= len(entries) <= 15
    assert [entry.detail for entry in accounts.log_entries(2, before=entries[1].number)] == ["37", "36"]
    accounts.log(SOMEBODY, "act", "x" * 10_000)
    assert len(accounts.log_entries(1)[0].detail) == actions.LONGEST_DETAIL
