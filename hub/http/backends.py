"""What the routes work with, made once per application and handed to each by a dependency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from hub.http.live import Signals
from runtime.clock import Clock
from runtime.settings import Settings

if TYPE_CHECKING:
    from projections.postgres import Pool


@dataclass(frozen=True, slots=True)
class Backends:
    """The database, what tells of news in it, the clock and the settings."""

    pool: Pool
    signals: Signals
    clock: Clock
    settings: Settings


def _backends(request: Request) -> Backends:
    return cast("Backends", request.app.state.backends)


Here = Annotated[Backends, Depends(_backends)]
