"""What belongs to no room: health, and what makes the pages installable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel

from dashboard.access import Visitor, anyone, home_of
from dashboard.site import HERE, Site
from dashboard.words import say

Language = Annotated[str, Query(pattern="^(en|ko)$")]


class Manifest(JSONResponse):
    media_type = "application/manifest+json"


class Health(BaseModel):
    """Whether record and series answer, and how long nothing has changed."""

    status: str
    last_interval: str | None
    change_counter: int
    unchanged_s: float | None
    streams: int


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/health")
    def health() -> Health:
        """Whether record and series answer, and how long nothing has changed."""
        last = site.record.last_interval()
        site.series.community(0, 0)
        return Health(
            status="ok",
            last_interval=None if last is None else datetime.fromtimestamp(last.start, UTC).isoformat(),
            change_counter=site.record.change_counter(),
            unchanged_s=site.changes.unchanged_s,
            streams=site.changes.streams,
        )

    @routes.get("/sw.js", response_class=FileResponse)
    def service_worker() -> Response:
        """The service worker; it must lie at the top to see every page."""
        return FileResponse(HERE / "static" / "sw.js", media_type="text/javascript")

    @routes.get("/manifest.webmanifest", response_class=Manifest)
    def manifest(language: Language = "en") -> Response:
        """What a phone needs to install the pages (W3C Web Application Manifest)."""
        community = site.record.community().name
        icons = [
            {"src": f"/static/icons/{name}.png", "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
            for name, size, purpose in (
                ("192", 192, "any"),
                ("512", 512, "any"),
                ("maskable-512", 512, "maskable"),
            )
        ]
        body = {
            "id": "/",
            "name": f"{say(language, 'site.name')} · {community}",
            "short_name": say(language, "site.name"),
            "description": say(language, "site.motto"),
            "lang": language,
            "start_url": "/start",
            "scope": "/",
            "display": "standalone",
            "background_color": "#f6f5f1",
            "theme_color": "#f6f5f1",
            "icons": icons,
        }
        return Manifest(body)

    @routes.get("/start", response_class=RedirectResponse, status_code=303)
    def start(visitor: Annotated[Visitor, Depends(anyone)]) -> Response:
        """Where the installed pages open: one's home, or the sign-in."""
        return RedirectResponse("/sign-in" if visitor.account is None else home_of(visitor), 303)

    @routes.get("/offline", response_class=HTMLResponse)
    def offline(request: Request, visitor: Annotated[Visitor, Depends(anyone)]) -> HTMLResponse:
        """What is shown without a connection for a page that was never open on this device."""
        return site.page(request, "site/offline.html", visitor, home=None)

    return routes
