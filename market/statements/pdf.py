"""The bill as a PDF that a household reads: A4, the same bytes whenever it is made again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import as_file, files

from fpdf import FPDF
from fpdf.enums import MethodReturnValue, XPos, YPos
from fpdf.fonts import TTFFont

from market.statements.figures import MINUS, amount, kwh, unit
from market.statements.rows import Row
from market.statements.statement import Bar, Statement, Table, TextTable
from market.statements.words import say

FONT = "bill"
PAGES = "¤"
MARGIN_MM, WIDTH_MM = 18.0, 210.0 - 2 * 18.0
INK, QUIET, RULE = (26, 28, 31), (96, 101, 108), (208, 212, 217)
SHADES = ((230, 159, 0), (0, 114, 178), (170, 176, 184))
"""Own roof, neighbours, supplier: told apart by people who see no red or green, and by their brightness in print."""
WHAT_MM, AMOUNT_MM = 66.0, 34.0
LINE_MM = 5.0
WHOLE_MM = 120.0
"""A table up to this height is not torn apart."""


class _Page(FPDF):
    """A page with its number at the foot."""

    def __init__(self, bill: Statement) -> None:
        super().__init__(unit="mm", format="A4")
        self.bill = bill
        with as_file(files("market.statements").joinpath("fonts")) as folder:
            for style, name in (("", "Regular"), ("B", "Bold")):
                self.add_font(FONT, style, folder / f"PumasiBill-{name}.woff")
        self.set_creation_date(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=bill.closed_at))
        self.set_title(f"{bill.title}, {bill.reference}")
        self.set_author("Pumasi")
        self.set_lang(bill.language)
        self.set_margins(MARGIN_MM, MARGIN_MM, MARGIN_MM)
        self.set_auto_page_break(True, margin=20)
        self.c_margin = 0
        # As wide as the digit that takes its place, so that the foot stays where it is aligned.
        self.alias_nb_pages(PAGES)

    def normalize_text(self, text: str) -> str:
        """What the fonts do not have is shown as a box; for the minus stands a dash as long."""
        text = text.replace(MINUS, "–")
        if not self.in_footer:
            # Only there it stands for the number of pages.
            text = text.replace(PAGES, "□")
        font = self.fonts[FONT]
        assert isinstance(font, TTFFont)
        known = font.cmap
        return super().normalize_text("".join(sign if ord(sign) in known else "□" for sign in text))

    def footer(self) -> None:
        self.set_y(-14)
        self.ink(QUIET, 8)
        self.cell(WIDTH_MM / 2, 4, self.bill.reference)
        pages = say(self.bill.language, "page", page=self.page_no(), pages=PAGES)
        self.cell(WIDTH_MM / 2, 4, pages, align="R")

    def ink(self, colour: tuple[int, int, int] = INK, size: float = 9.5, style: str = "") -> None:
        self.set_font(FONT, style, size)
        self.set_text_color(*colour)

    def next_line(self, width: float, height: float, text: str, align: str = "L") -> None:
        self.cell(width, height, text, align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def paragraph(self, text: str, height: float = LINE_MM) -> None:
        self.multi_cell(WIDTH_MM, height, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def height_of(self, width: float, text: str) -> float:
        lines = self.multi_cell(width, LINE_MM, text, align="L", dry_run=True, output=MethodReturnValue.LINES)
        assert isinstance(lines, list)
        return LINE_MM * len(lines)

    def room_for(self, height: float) -> None:
        """Begin a new page when less than this is left: a heading stays with what it heads."""
        if self.get_y() + height > self.page_break_trigger:
            self.add_page()

    def rule(self) -> None:
        self.set_draw_color(*RULE)
        self.set_line_width(0.2)
        self.line(MARGIN_MM, self.get_y(), MARGIN_MM + WIDTH_MM, self.get_y())


def pdf(bill: Statement) -> bytes:
    """The document's bytes."""
    page = _Page(bill)
    page.add_page()
    _head(page, bill)
    _section(page, say(bill.language, "energy"), 26)
    for bar in bill.bars:
        _bar(page, bar)
    for table in bill.tables:
        _table(page, table, bill)
    for grid in bill.grids:
        _grid(page, grid)
    for title, texts in bill.texts:
        _section(page, title, 20)
        for text in texts:
            page.ink(size=9)
            page.paragraph(text, 4.6)
            page.ln(1)
    return bytes(page.output())


def _head(page: _Page, bill: Statement) -> None:
    page.ink(size=17, style="B")
    page.next_line(WIDTH_MM, 10, bill.title)
    page.ln(1)
    for name, value in bill.facts:
        page.ink(QUIET, 9)
        page.cell(28, LINE_MM, name)
        page.ink(size=9)
        page.multi_cell(WIDTH_MM - 28, LINE_MM, value, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    page.ln(4)
    page.rule()
    page.ln(4)
    page.ink(QUIET, 10)
    page.next_line(WIDTH_MM, 5, bill.headline[0])
    page.ink(size=24, style="B")
    page.next_line(WIDTH_MM, 12, bill.headline[1])
    page.ink(size=10)
    page.paragraph(bill.verdict, 5.4)
    page.ln(2)


def _section(page: _Page, title: str, height: float) -> None:
    page.room_for(height)
    page.ln(4)
    page.ink(size=11.5, style="B")
    page.next_line(WIDTH_MM, 6, title)
    page.rule()
    page.ln(1.5)


def _bar(page: _Page, bar: Bar) -> None:
    page.room_for(16)
    page.ink(size=9.5, style="B")
    page.cell(28, LINE_MM, bar.label)
    page.ink()
    page.next_line(WIDTH_MM - 28, LINE_MM, f"{kwh(bar.total_wh)} kWh")
    left, top = MARGIN_MM, page.get_y() + 0.5
    for width, shade in zip(widths_mm(bar), SHADES, strict=True):
        page.set_fill_color(*shade)
        page.rect(left, top, width, 4, style="F")
        left += width
    page.set_y(top + 5)
    page.ink(size=8.5)
    for (label, energy_wh), shade in zip(bar.parts, SHADES, strict=True):
        page.set_fill_color(*shade)
        page.rect(page.get_x(), page.get_y() + 1.2, 2.4, 2.4, style="F")
        page.set_x(page.get_x() + 3.6)
        page.cell(WIDTH_MM / 3 - 3.6, LINE_MM, f"{label} {kwh(energy_wh)} kWh")
    page.ln(LINE_MM + 2)


def widths_mm(bar: Bar) -> list[float]:
    """Of the bar's parts; less than nothing, which a correction of a final month may leave, has none."""
    parts = [max(0, energy_wh) for _, energy_wh in bar.parts]
    return [WIDTH_MM * part / (sum(parts) or 1) for part in parts]


def _table(page: _Page, table: Table, bill: Statement) -> None:
    _section(page, table.title, min(WHOLE_MM, 26 + LINE_MM * len(table.rows)))
    page.ink(QUIET, 8)
    page.cell(WHAT_MM, 4, say(bill.language, "what"))
    page.cell(WIDTH_MM - WHAT_MM - AMOUNT_MM, 4, say(bill.language, "how"))
    page.next_line(AMOUNT_MM, 4, say(bill.language, "amount", unit=unit(bill.currency, bill.language)), align="R")
    for row in table.rows:
        _row(page, row, amount(row.money, bill.currency))
    if table.note:
        page.ln(1)
        page.ink(QUIET, 8.5)
        page.paragraph(table.note, 4.2)


def _row(page: _Page, row: Row, due: str) -> None:
    """What, how and how much side by side; the first two may take several lines, all on one page."""
    weight = "B" if row.strong else ""
    columns = ((WHAT_MM, row.what, INK, 9.5, weight), (WIDTH_MM - WHAT_MM - AMOUNT_MM, row.how, QUIET, 8.5, ""))
    height = LINE_MM
    for width, text, colour, size, style in columns:
        page.ink(colour, size, style)
        height = max(height, page.height_of(width - 2, text))
    page.room_for(height + 1)
    if row.strong:
        page.rule()
    left, top = MARGIN_MM, page.get_y()
    for width, text, colour, size, style in columns:
        page.ink(colour, size, style)
        page.set_xy(left, top)
        page.multi_cell(width - 2, LINE_MM, text, align="L")
        left += width
    page.ink(style=weight)
    page.set_xy(left, top)
    page.cell(AMOUNT_MM, LINE_MM, due, align="R")
    page.set_xy(MARGIN_MM, top + height)


def _grid(page: _Page, grid: TextTable) -> None:
    _section(page, grid.title, 20)
    first = 66.0
    others = (WIDTH_MM - first) / (len(grid.heads) - 1)
    for number, row in enumerate((grid.heads, *grid.rows)):
        page.ink(QUIET, 8) if number == 0 else page.ink()
        height = page.height_of(first - 2, row[0])
        page.room_for(height + 1)
        top = page.get_y()
        page.multi_cell(first - 2, LINE_MM, row[0], align="L")
        page.set_xy(MARGIN_MM + first, top)
        for text in row[1:]:
            page.cell(others, LINE_MM, text, align="R")
        page.set_xy(MARGIN_MM, top + height)
    if grid.note:
        page.ln(1)
        page.ink(QUIET, 8.5)
        page.paragraph(grid.note, 4.2)
