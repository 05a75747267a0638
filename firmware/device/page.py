"""The meter's own page in the household's network: what it measured last, and the self-test. Read only, no secrets.

A household compares the readings in its proofs with these: the same registers, from its own meter.
"""

import asyncio
import gc
import json
import sys
import time

import web
from clock import EPOCH_SHIFT_S, log
from dial import why
from messages import FLAGS, VERSION

PORT = 80
READINGS = 96
REGISTERS = ("import_wh", "export_wh", "generation_wh", "consumption_wh")

_LOOK_S = 10
_STYLE = (
    "<style>body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:16px;max-width:46em;color:#1b1f23;"
    "background:#fff}table{border-collapse:collapse;width:100%}td,th{border-top:1px solid #d0d7de;padding:.3em;"
    "text-align:right}td:first-child,th:first-child{text-align:left}.text td{text-align:left}a{color:#0a5c36}"
    "div{overflow-x:auto}.narrow{font-size:.68em}.narrow td:first-child{white-space:nowrap}"
    ".fail,.warn{font-weight:700}.fail{color:#b42318}nav{text-align:right}</style>"
)
_WORDS = {
    "en": (
        "Meter", "Registers at the end of each interval [Wh]", "Begins (UTC)", "Import", "Export",
        "Generation", "Consumption", "Self-test", "Readings", "ok", "look", "fails", "–",
    ),
    "ko": (
        "계량기", "구간이 끝날 때의 누적값 [Wh]", "구간 시작 (UTC)", "수전", "송전",
        "발전", "소비", "자가 진단", "기록", "정상", "확인", "이상", "–",
    ),
}  # fmt: skip


async def serve(meter, port: int = PORT) -> None:
    """For as long as the meter runs, on its address in the household's network; without a radio on the loopback.

    `meter` has config, outbox, intervals, clock, link and radio.
    """
    server = None
    served = None
    troubled = False
    try:
        while True:
            address = ("127.0.0.1", "255.0.0.0") if meter.radio is None else meter.radio.address()
            if address != served:
                if server is not None:
                    await server.close()
                    server = None
                served = None
                if address is not None:
                    opening = web.Server(_Page(meter, address).handle)
                    try:
                        await opening.open(address[0], port)
                        server = opening
                        served = address
                    except OSError as error:
                        if not troubled:
                            log("page: port %d: %s" % (port, why(error)))
                        troubled = True
            await asyncio.sleep(_LOOK_S)
    finally:
        if server is not None:
            await server.close()


class _Page:
    def __init__(self, meter, network: "tuple[str, str]") -> None:
        self._meter = meter
        self._address, self._mask = network

    async def handle(self, request):
        # neither strangers, nor a website that lets the household's browser ask here under a name of its own
        if not self._near(request.peer) or not _is_own_name(request.host):
            return 403, "text/plain", ("only for this home's network",)
        if request.method == "POST":
            return 405, "text/plain", ("read only",)
        language = request.query.get("lang") or ("ko" if request.language[:2].lower() == "ko" else "en")
        words = _WORDS.get(language, _WORDS["en"])
        if request.path == "/":
            return 200, web.HTML, self._readings_page(words, language)
        if request.path == "/readings.json":
            return 200, web.JSON, self._readings_json()
        if request.path in ("/self-test", "/self-test.json"):
            rows = _self_test(self._meter, language)
            if request.path == "/self-test":
                return 200, web.HTML, self._self_test_page(words, language, rows)
            return 200, web.JSON, (json.dumps(self._report(rows)),)
        return 404, "text/plain", ("nothing here",)

    def _near(self, peer: str) -> bool:
        mask = _number(self._mask)
        return _number(peer) & mask == _number(self._address) & mask

    def _records(self, step: int = 1):
        """The last intervals that are still held, oldest first; with step -1 newest first."""
        outbox = self._meter.outbox
        seqs = (max(0, outbox.next_seq - READINGS), outbox.next_seq - 1)
        for seq in range(seqs[0], seqs[1] + 1) if step > 0 else range(seqs[1], seqs[0] - 1, -1):
            record = outbox.read(seq)
            if record is not None:
                yield record

    def _readings_json(self):
        config = self._meter.config
        yield '{"v":1,"community":"%s","meter":"%s","outbox":"%s","readings":[' % (
            config.community,
            config.meter,
            self._meter.outbox.id,
        )
        comma = ""
        for record in self._records():
            registers = ",".join('"%s":%d' % (REGISTERS[i], record.registers[i] // 1000) for i in range(4))
            flags = ",".join('"%s"' % FLAGS[bit] for bit in range(len(FLAGS)) if record.flags >> bit & 1)
            yield '%s{"seq":%d,"start":%d,"length":%d,%s,"flags":[%s]}' % (
                comma,
                record.seq,
                record.start,
                record.length,
                registers,
                flags,
            )
            comma = ","
        yield "]}"

    def _readings_page(self, words, language: str):
        yield _head(self._meter.config, words, language, "/")
        yield '<p><a href="/self-test?lang=%s">%s</a> · <a href="/readings.json">/readings.json</a></p><h2>%s</h2>' % (
            language,
            words[7],
            words[1],
        )
        yield '<div><table class="narrow"><tr><th>%s</th></tr>' % "</th><th>".join(words[2:7])
        for record in self._records(-1):
            cells = [_utc(record.start)] + [str(register // 1000) for register in record.registers]
            yield "<tr><td>%s</td></tr>" % "</td><td>".join(cells)
        yield "</table></div></body></html>"

    def _self_test_page(self, words, language: str, rows: "list[dict]"):
        yield _head(self._meter.config, words, language, "/self-test")
        yield '<p><a href="/?lang=%s">%s</a></p><h2>%s</h2><table class="text">' % (language, words[8], words[7])
        marks = {"ok": words[9], "warn": words[10], "fail": words[11], "skip": words[12]}
        for row in rows:
            yield '<tr><td>%s</td><td class="%s">%s</td><td>%s</td></tr>' % (
                web.escape(row["check"]),
                row["level"],
                marks[row["level"]],
                web.escape(row["says"]),
            )
        yield "</table></body></html>"

    def _report(self, rows: "list[dict]") -> dict:
        return {"v": 1, "meter": self._meter.config.meter, "firmware": VERSION, "checks": rows}


def _self_test(meter, language: str) -> "list[dict]":
    gc.collect()
    import selftest

    if language == "ko":
        import selftest_ko as texts
    else:
        import selftest_en as texts
    rows = selftest.rows(selftest.of_running(meter), texts.SAYS)
    # looked at once a year: it need not stay in memory
    for name in ("selftest", "selftest_en", "selftest_ko", "certificate", "sensors.diagnose"):
        sys.modules.pop(name, None)
    return rows


def _head(config, words, language: str, path: str) -> str:
    other, name = ("en", "English") if language == "ko" else ("ko", "한국어")
    return (
        '<!doctype html><html lang="%s"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1"><title>Pumasi</title>%s</head><body>'
        '<nav><a href="%s?lang=%s" lang="%s">%s</a></nav><h1>%s %s</h1>'
        % ("ko" if language == "ko" else "en", _STYLE, path, other, other, name, words[0], web.escape(config.meter))
    )


def _utc(epoch_s: int) -> str:
    return "%04d-%02d-%02d %02d:%02d" % time.gmtime(epoch_s - EPOCH_SHIFT_S)[:5]


def _number(address: str) -> int:
    number = 0
    for part in address.split("."):
        number = number << 8 | int(part)
    return number


def _is_own_name(host: str) -> bool:
    """An address, a name without a dot, or one of mDNS: a public name that points here is somebody's trick."""
    name = host.partition(":")[0]
    return "." not in name or name.endswith(".local") or all(part.isdigit() for part in name.split("."))
