"""Questions: opened by the household, answered by the operator, ended by the household; each state has its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.accounts import Accounts
from dashboard.accounts.database import Database
from dashboard.bills import disputes
from dashboard.bills.disputes import LONGEST_TEXT, MOST_OPEN, DisputeError
from tests.dashboard.signed import People
from tests.market.billed import LENGTH_S, SINCE

KIM = "/household/kim/disputes"


@pytest.fixture
def db(tmp_path: Path) -> Database:
    accounts = Accounts(tmp_path)
    disputes.begin(accounts.db)
    disputes.begin(accounts.db)  # at every start
    return accounts.db


def opened(db: Database, household: str = "h1", text: str = "too much") -> int:
    return disputes.open_dispute(db, household, "Kim", text, 100, start=900).number


def test_from_the_question_to_the_end(db: Database) -> None:
    number = opened(db)
    assert [one.number for one in disputes.open_disputes(db)] == [number]
    assert disputes.count_open(db) == 1
    answered = disputes.answer(db, number, "Op", "a late reading", 200)
    assert (answered.state, answered.answer, answered.answered_by, answered.answered_at) == (
        "answered", "a late reading", "Op", 200,
    )  # fmt: skip
    assert disputes.count_open(db) == 0
    assert disputes.answer(db, number, "Op", "in other words", 210).answer == "in other words"
    closed = disputes.close(db, number, 300)
    assert (closed.state, closed.ended_at) == ("closed", 300)


@pytest.mark.parametrize(
    ("moves", "last"),
    [
        (["close"], "dispute-ended"),  # nothing to be content with yet
        (["answer", "withdraw"], "dispute-ended"),
        (["withdraw", "answer"], "dispute-ended"),
        (["answer", "close", "answer"], "dispute-ended"),
        (["withdraw", "withdraw"], "dispute-ended"),
    ],
)
def test_moves_that_cannot_be(db: Database, moves: list[str], last: str) -> None:
    number = opened(db)

    def move(name: str) -> None:
        if name == "answer":
            disputes.answer(db, number, "Op", "because", 200)
        else:
            getattr(disputes, name)(db, number, 300)

    for name in moves[:-1]:
        move(name)
    before = disputes.find(db, number)
    with pytest.raises(DisputeError) as failed:
        move(moves[-1])
    assert failed.value.problem == last
    assert disputes.find(db, number) == before


def test_an_unknown_question_has_no_answer(db: Database) -> None:
    with pytest.raises(DisputeError, match="there is no question 9"):
        disputes.answer(db, 9, "Op", "what?", 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "no-text"), (" \n ", "no-text"), ("\x00\x07", "no-text"), ("x" * (LONGEST_TEXT + 1), "text-too-long")],
)
def test_texts_are_bounded(db: Database, text: str, problem: str) -> None:
    with pytest.raises(DisputeError) as failed:
        opened(db, text=text)
    assert failed.value.problem == problem
    assert disputes.of_household(db, "h1") == []


def test_a_text_reads_in_the_direction_it_is_written(db: Database) -> None:
    """A mark that turns it would show "paid 100" as "001 diap"; joiners of letters and pictures stay."""
    turned = "I paid \u202e100\u202c and \u2066more\u2069\u200f. \U0001f468\u200d\U0001f469"
    assert disputes.bounded(turned) == "I paid 100 and more. \U0001f468\u200d\U0001f469"
    with pytest.raises(DisputeError):
        disputes.bounded("\u202e\u2066")


def test_a_text_keeps_its_lines_and_loses_what_cannot_be_shown(db: Database) -> None:
    number = opened(db, text=" 전기가\r\n이상해요\x1b[2J ")
    found = disputes.find(db, number)
    assert found is not None and found.text == "전기가\n이상해요[2J"


def test_so_many_wait_at_once_and_no_more(db: Database) -> None:
    numbers = [opened(db) for _ in range(MOST_OPEN)]
    with pytest.raises(DisputeError, match="20 questions wait already"):
        opened(db)
    opened(db, "h2")
    disputes.withdraw(db, numbers[0], 0)
    opened(db)


# on pages


def test_a_question_about_a_bill_by_form(billed: People) -> None:
    client = billed.household("kim")
    form = client.get(f"{KIM}/new?month=2026-05").text
    assert "Bill of May 2026" in form and 'name="month" value="2026-05"' in form
    sent = client.submit(KIM, {"about": "month", "month": "2026-05", "text": "<b>why</b> so much?"})
    assert sent.status_code == 303
    page = client.get(sent.headers["location"]).text
    assert "&lt;b&gt;why&lt;/b&gt; so much?" in page and "<b>why" not in page
    assert "has not answered yet" in page
    number = int(sent.headers["location"].rpartition("/")[2])
    disputes.answer(billed.site.accounts.db, number, "Op", "A fridge.", 0)
    assert "A fridge." in client.get(f"{KIM}/{number}").text
    assert client.submit(f"{KIM}/{number}/close").status_code == 303
    assert client.get(f"/api/1{KIM}/{number}").json()["state"] == "closed"
    log = [entry.action for entry in billed.site.accounts.looks_at("kim")]
    assert log[:2] == ["dispute-close", "dispute-open"]


def test_a_question_about_an_interval_by_its_local_time_and_by_its_start(billed: People) -> None:
    client = billed.household("kim")
    sent = client.submit(KIM, {"about": "interval", "local": "2026-05-03T14:15", "text": "this one"})
    at = SINCE + 2 * LENGTH_S
    assert client.get(f"/api/1{sent.headers['location']}").json()["start"] == at
    assert f'href="/household/kim/interval/{at}"' in client.get(sent.headers["location"]).text
    sent = client.submit(KIM, {"start": str(at + 7), "text": "that one"})
    assert client.get(f"/api/1{sent.headers['location']}").json()["start"] == at
    assert f'name="start" value="{at}"' in client.get(f"{KIM}/new?start={at}").text


def test_by_json(billed: People) -> None:
    client = billed.household("lee")
    made = client.submit_json("/api/1/household/lee/disputes", {"month": "2026-05", "text": "?!"})
    assert made.status_code == 201
    number = made.json()["number"]
    assert client.get("/api/1/household/lee/disputes").json()["disputes"][0] == made.json()
    ended = client.submit_json(f"/api/1/household/lee/disputes/{number}/withdraw", None)
    assert ended.json()["state"] == "withdrawn"


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"text": "about what?"}, 422, "no-subject"),
        ({"text": "x", "start": SINCE, "month": "2026-05"}, 422, "no-subject"),
        ({"text": "x", "month": "2026-04"}, 404, "no-bill"),
        ({"text": "x", "start": SINCE - LENGTH_S}, 404, "not-settled"),
        ({"text": "x", "month": "2026-5"}, 422, "bad-value"),
        ({"text": "", "month": "2026-05"}, 422, "bad-value"),
        ({"text": "\x07", "month": "2026-05"}, 422, "no-text"),
        ({"text": "x" * 2001, "month": "2026-05"}, 422, "bad-value"),
    ],
)
def test_what_cannot_be_asked(billed: People, body: dict[str, object], status: int, problem: str) -> None:
    client = billed.household("park")
    answer = client.submit_json("/api/1/household/park/disputes", body)
    assert (answer.status_code, answer.json()["problem"]) == (status, problem)
    assert client.get("/api/1/household/park/disputes").json()["disputes"] == []


def test_forms_with_nonsense_are_refused(billed: People) -> None:
    client = billed.household("park")
    for fields in (
        {"about": "interval", "local": "2026-02-30T10:00", "text": "x"},
        {"about": "month", "text": "x"},
        {},
    ):
        assert client.submit("/household/park/disputes", fields).status_code == 422, fields


def test_nobody_reads_or_ends_anothers_question(billed: People) -> None:
    kim, lee = billed.household("kim"), billed.household("lee")
    number = int(
        kim.submit(KIM, {"about": "month", "month": "2026-05", "text": "x"}).headers["location"].rpartition("/")[2]
    )
    assert lee.get(f"{KIM}/{number}").status_code == 403
    assert lee.get(f"/household/lee/disputes/{number}").status_code == 404, "also by way of their own household"
    assert lee.submit(f"/household/lee/disputes/{number}/withdraw").status_code == 404
    operator = billed.operator()
    assert operator.get(f"{KIM}/{number}").status_code == 200
    assert operator.submit(f"{KIM}/{number}/withdraw").status_code == 403, "the operator reads and answers"
    assert kim.get(f"/api/1{KIM}/{number}").json()["state"] == "open"
