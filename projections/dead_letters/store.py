"""Dead letters that were put back: one row each, made by whoever puts it back or by the stage that takes it, whichever
comes first, and claimed by the one record that counts. Every other record of the same letter goes nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from projections.sql import load

if TYPE_CHECKING:
    from projections.postgres import Connection

_PUT_BACK = load(__file__, "put_back")
_IN_HISTORY = load(__file__, "in_history")
_NOTE = load(__file__, "note")
_CLAIM = load(__file__, "claim")


async def put_back(connection: Connection, letters: Sequence[str]) -> dict[str, datetime]:
    """When each of these letters was put back; those that were not are left out."""
    return {row["letter"]: row["put_back_at"] for row in await connection.fetch(_PUT_BACK, letters)}


async def in_history(connection: Connection, entries: Sequence[str]) -> set[str]:
    """Which of these timeline entries can be read."""
    return {row["id"] for row in await connection.fetch(_IN_HISTORY, entries)}


async def note(connection: Connection, letters: Sequence[str], now: int) -> None:
    """Write down that these letters were put back at ``now`` (microseconds), unless that is known."""
    await connection.execute(_NOTE, letters, now)


async def claim(connection: Connection, source: str, letters: Mapping[int, str], now: int) -> set[int]:
    """The offsets of ``source`` (topic and partition) whose letter is taken here and nowhere else.

    To be called in the transaction that decides about them. ``letters``: offset to letter; ``now``: microseconds.
    """
    rows = await connection.fetch(_CLAIM, source, list(letters.values()), list(letters), now)
    return {row["source_offset"] for row in rows}
