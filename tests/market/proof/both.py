"""The two verifiers side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page

from market.proof.verify import check_proof


def in_browser(page: Page, text: str, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate("([text, options]) => pumasi.check(text, options)", [text, options])
    return found


def in_python(text: str, **options: Any) -> list[dict[str, Any]]:
    return [vars(check) for check in check_proof(text, **options)]


def same_checks_fail(page: Page, cases: Sequence[tuple[str, str]]) -> None:
    """Each case, what was changed and the whole file, fails by the same check in both."""
    for place in range(0, len(cases), 50):
        batch = cases[place : place + 50]
        names = page.evaluate(
            """(texts) => texts.map((text) => {
                const last = pumasi.check(text).at(-1);
                return last.holds ? "" : last.name;
            })""",
            [text for _, text in batch],
        )
        for (what, text), name in zip(batch, names, strict=True):
            expected = in_python(text)[-1]
            assert not expected["holds"], what
            assert name == expected["name"], what
