"""What an operator does by command: topics, and policies put on the log."""

from __future__ import annotations

from rich.console import Console

from runtime.settings import Settings
from runtime.topics_admin import Change, Kind, apply, diff
from schemas.topics import topics


async def topics_diff(settings: Settings, out: Console) -> int:
    """Print what differs. Returns 1 if anything does."""
    changes = await diff(settings.kafka, topics(), settings.topic_prefix, settings.partitions, settings.replication)
    return _show(changes, out, "the topics are as they should be")


async def topics_apply(settings: Settings, out: Console) -> int:
    """Create and configure; print what was done. Returns 1 if something had to be refused."""
    changes = await apply(settings.kafka, topics(), settings.topic_prefix, settings.partitions, settings.replication)
    _show(changes, out, "nothing to do")
    return int(any(change.kind is Kind.REFUSED for change in changes))


def _show(changes: list[Change], out: Console, nothing: str) -> int:
    for change in changes:
        out.print(str(change), highlight=False)
    if not changes:
        out.print(nothing)
    return int(bool(changes))
