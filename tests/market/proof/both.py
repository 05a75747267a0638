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
    """Each case, what was changed and the whole file, fails in both by the same check, said in the same words."""
    for place in range(0, len(cases), 50):
        batch = cases[place : place + 50]
        found = page.evaluate("(texts) => texts.map((text) => pumasi.check(text).at(-1))", [text for _, text in batch])
        for (what, text), last in zip(batch, found, strict=True):
            expected = in_python(text)[-1]
            assert not expected["holds"], what
            assert last == expected, what
