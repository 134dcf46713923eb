"""What a verdict rests on that stands elsewhere: the calendars it was counted by, and the events it names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from domain.business_time import Calendar
from domain.errors import HubError
from domain.outputs import derived_id
from hub.sla.words import Events, Told
from projections.configurations import store as configurations
from projections.verdicts import store
from schemas.records import ConfigurationPublished, SlaVerdictIssued
from streams.casework import read_published

if TYPE_CHECKING:
    from projections.postgres import Connection


class Basis(NamedTuple):
    """``calendars``: by their digest; ``events``: by their id, those that are known."""

    calendars: dict[str, Calendar]
    events: Events

    def zone(self, verdict: SlaVerdictIssued) -> str:
        """The time zone of a verdict's calendar; UTC where that is not known."""
        calendar = self.calendars.get(verdict.calendar_digest)
        return calendar.rules.tz if calendar else "Etc/UTC"


async def basis_of(connection: Connection, verdicts: Sequence[SlaVerdictIssued], also: Collection[str] = ()) -> Basis:
    """What these verdicts rest on, from the tables, with the events ``also``. What can't be read is left out."""
    calendars: dict[str, Calendar] = {}
    bodies = await configurations.bodies(connection, sorted({each.policy_version for each in verdicts}))
    for version, body in bodies.items():
        try:
            bundle = read_published(ConfigurationPublished("", "", "", version, 0, body))
        except HubError:  # of a newer version of the hub; its verdicts are then said not to be recomputable here
            continue
        calendars |= {calendar.digest: calendar for calendar in bundle.calendars.values()}
    named = {by for each in verdicts for by in (each.cause, *(i.ended_by for i in each.evidence))}
    entries = [derived_id(event, "entry") for event in named.union(also)]
    rows = await store.events(connection, entries)
    told = {event: Told(kind, occurred, received) for event, kind, occurred, received in rows}
    return Basis(calendars, told)
