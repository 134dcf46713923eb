"""The parts of the bench, in the order in which they run. A new one is a module with a ``PART`` and a line here."""

from __future__ import annotations

from typing import Any

from bench import (
    alerts,
    business_time,
    engine,
    growth,
    identity,
    latency,
    memory,
    pages,
    projector,
    restore,
    scaling,
    steady,
)
from bench.part import Part

# Any: each part has its own sizes and its own result, which nobody here looks into
_LISTED: tuple[Part[Any, Any], ...] = (
    engine.PART,
    scaling.PART,
    restore.PART,
    growth.PART,
    identity.PART,
    projector.PART,
    latency.PART,
    alerts.PART,
    memory.PART,
    pages.PART,
    business_time.PART,
    steady.PART,
)
PARTS: dict[str, Part[Any, Any]] = {part.name: part for part in _LISTED}
