"""The provisioning page's HTML, in pieces. No script, no resource from elsewhere; a phone's width comes first."""

import sys

from web import escape

_STYLE = (
    "<style>body{font:17px/1.5 system-ui,sans-serif;margin:0 auto;padding:16px;max-width:30em;color:#1b1f23;"
    "background:#fff}h1{font-size:1.4em;margin:.2em 0 .6em}label{display:block;font-weight:600;margin:1em 0 .3em}"
    "input,select,textarea,button{font:inherit;width:100%;box-sizing:border-box;padding:.6em;border:1px solid #767676;"
    "border-radius:6px;background:#fff;color:inherit}button{background:#0a5c36;color:#fff;border:0;"
    "margin-top:1.4em;font-weight:600;min-height:48px}small{color:#57606a;display:block;margin-top:.3em}"
    ".problem{border-left:6px solid #b42318;background:#fdecea;padding:.7em .9em;margin:0 0 1em}"
    "select+input{margin-top:.5em}nav{text-align:right}a{color:#0a5c36}</style>"
)


def choose_language(query: "dict[str, str]", accepted: str):
    """The module with the texts: what was asked for, else what the browser prefers, else English."""
    language = query.get("lang") or ("ko" if accepted[:2].lower() == "ko" else "en")
    # one of them at a time in memory
    if language == "ko":
        sys.modules.pop("portal_en", None)
        import portal_ko as texts
    else:
        sys.modules.pop("portal_ko", None)
        import portal_en as texts
    return texts


def form(texts, meter: str, portal):
    """Pieces of the page with the form. `portal` has nonce, networks, ssid, code, problem, enrolled, minutes_left."""
    yield _head(texts, texts.TITLE, "", "/")
    if meter:
        yield "<p>%s</p>" % escape(meter)
    if portal.problem is not None:
        yield _problem(texts, portal.problem)
    yield '<form method="post" action="/" accept-charset="utf-8"><input type="hidden" name="nonce" value="%s">' % (
        portal.nonce
    )
    yield '<input type="hidden" name="lang" value="%s"><label for="s">%s</label><select id="s" name="ssid">' % (
        texts.LANGUAGE,
        texts.WIFI,
    )
    chosen = False
    for name, rssi_dbm in portal.networks:
        mark = " selected" if name == portal.ssid else ""
        chosen = chosen or bool(mark)
        yield '<option value="%s"%s>%s (%d dBm)</option>' % (escape(name), mark, escape(name), rssi_dbm)
    typed = portal.ssid if portal.ssid and not chosen else ""
    yield '<option value=""%s>%s</option></select>' % (" selected" if typed else "", texts.HIDDEN)
    yield '<input name="other" maxlength="32" autocapitalize="none" autocomplete="off" placeholder="%s" ' % texts.NAME
    yield 'aria-label="%s" value="%s"><small><a href="/scan?lang=%s">%s</a></small>' % (
        texts.NAME,
        escape(typed),
        texts.LANGUAGE,
        texts.AGAIN,
    )
    yield '<label for="p">%s</label><input id="p" type="password" name="password" maxlength="64" ' % texts.PASSWORD
    yield 'autocapitalize="none" autocomplete="off"><small>%s</small>' % texts.PASSWORD_HINT
    yield '<label for="c">%s</label><textarea id="c" name="code" rows="4" maxlength="512" autocapitalize="none" ' % (
        texts.CODE
    )
    yield 'autocomplete="off" spellcheck="false">%s</textarea><small>%s %s</small>' % (
        escape(portal.code),
        texts.CODE_HINT,
        texts.CODE_KEEP if portal.enrolled else "",
    )
    yield '<button type="submit">%s</button></form><p><small>%s</small></p></body></html>' % (
        texts.CONNECT,
        texts.LEFT % portal.minutes_left(),
    )


def busy(texts, step: str):
    """The page while it works; it looks again by itself."""
    refresh = '<meta http-equiv="refresh" content="2;url=/?lang=%s">' % texts.LANGUAGE
    yield _head(texts, texts.BUSY, refresh, "/")
    yield '<p role="status">%s</p><p><small>%s</small></p></body></html>' % (texts.STEPS[step], texts.BUSY_HINT)


def done(texts, community: "str | None", ssid: str):
    yield _head(texts, texts.DONE, "", "/")
    told = texts.DONE_WIFI % escape(ssid) if community is None else texts.DONE_TEXT % escape(community)
    yield '<p role="status">%s</p></body></html>' % told


def _head(texts, title: str, extra: str, path: str) -> str:
    return (
        '<!doctype html><html lang="%s"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1"><title>Pumasi</title>%s%s</head><body><nav>'
        '<a href="%s?lang=%s" lang="%s">%s</a></nav><h1>%s</h1>'
        % (texts.LANGUAGE, extra, _STYLE, path, texts.OTHER[0], texts.OTHER[0], texts.OTHER[1], title)
    )


def _problem(texts, problem) -> str:
    """`problem` is (code, technical detail)."""
    code, detail = problem
    sentence = texts.PROBLEMS.get(code) or texts.PROBLEMS["unexpected"]
    small = "<small>%s</small>" % escape(detail[:120]) if detail else ""
    return '<p class="problem" role="alert">%s%s</p>' % (sentence, small)
