"""Who did what: on the pages, to the community's inputs, and to readings."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.site import Site

ENTRIES = 200


@dataclass(frozen=True, slots=True)
class Deed:
    """``about`` is the household or thing it was done to. ``source``: pages, inputs or corrections."""

    at: int
    source: str
    name: str
    role: str
    action: str
    about: str
    detail: str


@dataclass(frozen=True, slots=True)
class HistoryView:
    """The newest first. ``older`` is where the next page begins, None when there is nothing older."""

    deeds: tuple[Deed, ...]
    inputs: tuple[Deed, ...]
    corrections: tuple[Deed, ...]
    older: int | None


def history_view(site: Site, before: int | None) -> HistoryView:
    record = site.record.read()
    entries = site.accounts.log_entries(ENTRIES, before)
    inputs = record.input_history()[::-1][:ENTRIES]
    corrections = record.newest_corrections(ENTRIES, estimated=False)
    return HistoryView(
        deeds=tuple(
            Deed(one.at, "pages", one.name, one.role, one.action, one.household or "", one.detail) for one in entries
        ),
        inputs=tuple(Deed(one.stored_at, "inputs", one.author, "", one.kind, "", str(one.version)) for one in inputs),
        corrections=tuple(
            Deed(one.stored_at, "corrections", one.author, "", one.reason, one.meter, str(one.start))
            for one in corrections
        ),
        older=entries[-1].number if len(entries) == ENTRIES else None,
    )
