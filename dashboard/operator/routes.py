"""The operator's rooms: what auditors read too, and what only operators change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from dashboard.operator import changing, reading
from dashboard.operator.background import Background
from dashboard.site import Site


def router(site: Site) -> APIRouter:
    background = Background(site.store)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        background.stop()

    routes = APIRouter(lifespan=lifespan)
    reading.add(routes, site, background)
    changing.add(routes, site, background)
    return routes
