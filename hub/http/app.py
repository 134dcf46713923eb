"""The HTTP server as one application: reading API, doors, page, health and metrics.

It starts without PostgreSQL and answers 503 until it is there. Serve it with uvicorn and a
``timeout_graceful_shutdown`` of a few seconds, since whoever watches a live timeline never hangs up by himself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from domain.errors import Reason, Unavailable
from hub.console import pages
from hub.http import figures, policy_reads, problems, reads, security
from hub.http.backends import Backends, Here
from hub.http.doors import Doorway
from hub.http.live import Signals
from projections.postgres import ping, reading
from runtime.clock import Clock, SystemClock
from runtime.settings import Settings

if TYPE_CHECKING:
    from projections.postgres import Pool

_STATIC = Path(pages.__file__).parent / "static"


class Health(BaseModel):
    """The process lives, or is ready to answer."""

    status: Literal["ok"] = "ok"


def _health() -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    async def healthz() -> Health:
        """The process lives."""
        return Health()

    @routes.get("/readyz", responses={503: problems.described()[503]})
    async def readyz(here: Here) -> Health:
        """PostgreSQL answers, and live timelines are told of news."""
        async with reading(here.pool) as connection:
            await ping(connection)
        if not here.signals.listening.is_set():
            raise Unavailable(Reason.POSTGRES_UNAVAILABLE, "live timelines have no connection to PostgreSQL")
        return Health()

    return routes


def _inner(app: FastAPI) -> APIRouter:
    routes = APIRouter(dependencies=[Depends(security.require_token)])

    @routes.get("/metrics", tags=["health"], response_class=Response)
    async def metrics() -> Response:
        """Metrics in the Prometheus text format."""
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @routes.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> JSONResponse:
        return JSONResponse(app.openapi())

    return routes


class Hub(FastAPI):
    """The application, with problems described in its OpenAPI document, and what surrounds all its answers.

    A delivery goes from ``Shell`` straight to its door; whatever else is asked for goes FastAPI's way.
    """

    doors: APIRouter
    body_limit: int

    def build_middleware_stack(self) -> ASGIApp:
        """What requests pass through, from the outside in; asked for once, with the first request."""
        return security.Shell(Doorway(super().build_middleware_stack(), self.doors), self.body_limit)

    def openapi(self) -> dict[str, Any]:  # Any: a JSON document
        """The document, made once."""
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in problems.SCHEMAS.items():
            schemas.setdefault(name, schema)
        return document


def create_app(pool: Pool, settings: Settings, clock: Clock, doors: APIRouter | None = None) -> FastAPI:
    """The application. ``doors``: the routes that take events in; they check their callers themselves.

    Raises ``SettingInvalid`` when the API token is empty.
    """
    gate = security.Gate(settings.api_token, SystemClock())  # a session lasts hours of the person, not of the hub
    signals = Signals(settings.postgres)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        listening = asyncio.create_task(signals.run(), name="listen for timelines")
        try:
            yield
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    app = Hub(
        title="Interaction Hub",
        description="One history per customer, the state of every ticket, and the verdicts on every promise.",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.doors, app.body_limit = doors or APIRouter(), settings.body_limit
    app.state.gate = gate
    app.state.backends = Backends(pool, signals, clock, settings)
    problems.install(app)
    app.include_router(app.doors)
    app.include_router(_health())
    app.include_router(_inner(app))
    app.include_router(reads.router())
    app.include_router(figures.router())
    app.include_router(policy_reads.router())
    app.include_router(pages.router())
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app
