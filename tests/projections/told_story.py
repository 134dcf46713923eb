"""A story told to casework and written to the tables, as the projector and the identity stage write them."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from consumers.projector import Batch, write
from domain.outputs import Output
from domain.policies import Bundle
from schemas.records import InteractionReceived, SlaVerdictIssued, TicketChanged, TimelineEntryAdded
from tests.domain.random_stories import DOCUMENT, told

_CONFIGURATION = (
    "INSERT INTO configurations (version, tenant, name, event, body) VALUES (1, 't', 'test', gen_random_uuid(), $1)"
)


async def write_story(dsn: str, story: Sequence[InteractionReceived | float | Bundle]) -> list[Output]:
    """Write what casework says of a story under bundle 1. Returns it."""
    outputs, _ = told(story)
    connection = await asyncpg.connect(dsn)
    try:
        await write(
            connection,
            Batch(
                entries=[each for each in outputs if isinstance(each, TimelineEntryAdded)],
                tickets=[each for each in outputs if isinstance(each, TicketChanged)],
                verdicts=[each for each in outputs if isinstance(each, SlaVerdictIssued)],
            ),
        )
        await connection.execute(_CONFIGURATION, msgspec.json.encode(DOCUMENT).decode())
    finally:
        await connection.close()
    return outputs
