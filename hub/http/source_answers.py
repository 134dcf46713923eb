"""What the reading API says of sources; instants and durations as everywhere in ``answers``."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field

from hub.http.answers import Instant, when, written
from projections.sources import shown


class Gap(BaseModel):
    """Missing numbers, ``first`` to ``last``; ``since``: when that was seen."""

    first: int
    last: int
    since: Instant


class Stream(BaseModel):
    """Numbers that belong together, some of them missing. ``gaps``: the first ten."""

    conversation: str | None = Field(description="null where the numbers count all of the source")
    missing: int
    gaps: list[Gap]


class Compared(BaseModel):
    """What a source says it sent in a span, beside what was received of it."""

    type: str
    queue: str | None
    since: Instant
    until: Instant
    stated: int
    received: int
    settled: bool = Field(description="Whether late events had their time to come.")


class Source(BaseModel):
    """A source: what came, which of its own numbers are missing, and its own counts of the last 24 hours."""

    tenant: str
    source: str
    events: int
    events_today: int = Field(description="That occurred since midnight UTC.")
    first_at: Instant
    last_at: Instant = Field(description="When Kafka took its last event.")
    gaps: int
    missing: int
    overdue_gaps: int = Field(description="Of the gaps those that are open for longer than HUB_SOURCE_GRACE.")
    overdue_missing: int
    difference: int | None = Field(description="Stated less received over the settled counts; null without any.")
    streams: list[Stream] = Field(description="Those with gaps, at most ten, the last active first.")
    counts: list[Compared]

    @classmethod
    def of(cls, source: shown.Source) -> Self:
        return cls(
            tenant=source.tenant,
            source=source.source,
            events=source.events,
            events_today=source.today,
            first_at=written(when(source.first_at)),
            last_at=written(when(source.last_at)),
            gaps=source.gaps,
            missing=source.missing,
            overdue_gaps=source.overdue_gaps,
            overdue_missing=source.overdue_missing,
            difference=shown.difference(source) if any(one.settled for one in source.compared) else None,
            streams=[
                Stream(
                    conversation=stream.conversation or None,
                    missing=stream.missing,
                    gaps=[Gap(first=gap.first, last=gap.last, since=written(when(gap.since))) for gap in stream.gaps],
                )
                for stream in source.streams
            ],
            counts=[
                Compared(
                    type=one.type,
                    queue=one.queue or None,
                    since=written(when(one.since)),
                    until=written(when(one.until)),
                    stated=one.stated,
                    received=one.received,
                    settled=one.settled,
                )
                for one in source.compared
            ],
        )


class Sources(BaseModel):
    """The sources (at most 1,000, the first heard of first)."""

    sources: list[Source]
