"""The routes of accounts: coming in, and one's own account."""

from __future__ import annotations

from fastapi import APIRouter

from dashboard.accounts import entry, own
from dashboard.accounts.passkeys import Challenges
from dashboard.site import Site


def router(site: Site) -> APIRouter:
    challenges = Challenges()
    routes = APIRouter()
    routes.include_router(entry.router(site, challenges))
    routes.include_router(own.router(site, challenges))
    return routes
