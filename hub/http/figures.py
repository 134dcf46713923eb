"""``GET /v1/figures``: service level, abandonment, speed of answer, handling time, transfers, repeats, resolution.

Each figure names its formula, its numerator and denominator, and what was left out of it: two people who read it can
only mean the same.
"""

from __future__ import annotations

from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from domain import figures as domain
from domain.attribution import Held
from domain.business_time import to_us
from domain.policies import QueueTerms
from domain.service_levels import FORMULAS
from hub.figures import Report, report, unfit
from hub.http.answers import Instant, when, written
from hub.http.backends import Here
from hub.http.problems import Refused, described
from hub.http.security import require_token
from projections.contacts.counted import Group, Wanted
from projections.postgres import reading
from runtime.clock import SECOND

Name = Annotated[str | None, Query(max_length=300)]


class Figure(BaseModel):
    """One figure: ``value = numerator / denominator``, in percent times 100."""

    value: float | None = Field(description="Null where nothing was counted, which is neither 0 nor 100 percent.")
    unit: domain.Unit
    formula: str | None = Field(description="An id of `formulas`; null where the queues have different ones.")
    numerator: float = Field(description="Of a mean in seconds, the sum in seconds.")
    denominator: int
    left_out: dict[str, int] = Field(description="How many contacts or tickets are not in it, by why.")
    notes: dict[str, int] = Field(description="How many of those in it are to be read with care, by why.")

    @classmethod
    def of(cls, figure: domain.Figure) -> Self:
        return cls(
            value=None if figure.value is None else float(figure.value),
            unit=figure.unit,
            formula=figure.formula,
            numerator=float(figure.numerator),
            denominator=figure.denominator,
            left_out=dict(figure.left_out),
            notes=dict(figure.notes),
        )


class GroupOfFigures(BaseModel):
    """The figures of a queue, team, organisation or channel of one tenant."""

    tenant: str
    name: str | None = Field(description="Null for contacts that were of none.")
    figures: dict[str, Figure]

    @classmethod
    def of(cls, group: Group, figures: list[domain.Figure]) -> Self:
        told = {figure.name: Figure.of(figure) for figure in figures}
        return cls(tenant=group.tenant, name=group.name, figures=told)


class Terms(BaseModel):
    """What was agreed for a queue."""

    queue: str
    answer_within_seconds: float
    short_abandon_seconds: float
    formula: str

    @classmethod
    def of(cls, terms: QueueTerms) -> Self:
        return cls(
            queue=terms.queue,
            answer_within_seconds=terms.answer_within / SECOND,
            short_abandon_seconds=terms.short_abandon / SECOND,
            formula=terms.formula,
        )


class TenantTerms(BaseModel):
    """By which version of a tenant's configuration it was computed (0: none); queues not named have the usual terms."""

    tenant: str
    version: int
    repeat_window_seconds: float
    queues: list[Terms]


class Formula(BaseModel):
    """How a figure is computed, in words, and who published it."""

    sentence: str
    source: str


class Breaches(BaseModel):
    """What one organisation has of the breached promises of one metric. `part` of all organisations sum to the number
    of breaches, and so does `charged`."""

    tenant: str
    metric: str
    organisation: str | None
    charged: int = Field(description="Breaches charged to it: it held the ticket when the target was used up.")
    held: int = Field(description="Breached promises in which it held the ticket at all.")
    part: float
    counted_seconds: float = Field(description="Time that counted while it held the ticket.")
    stood_seconds: float = Field(description="Time in which the clock stood still, which counts against nobody.")
    overrun_seconds: float = Field(description="Time beyond the target while it held the ticket.")

    @classmethod
    def of(cls, tenant: str, metric: str, organisation: str | None, held: Held) -> Self:
        return cls(
            tenant=tenant,
            metric=metric,
            organisation=organisation,
            charged=held.charged,
            held=held.held,
            part=float(held.part),
            counted_seconds=held.counted / SECOND,
            stood_seconds=held.stood / SECOND,
            overrun_seconds=held.overrun / SECOND,
        )


class Figures(BaseModel):
    """The figures of contacts offered in [`from`, `to`). Late data changes them: they are as of `as_of`."""

    since: Instant = Field(alias="from")
    until: Instant = Field(alias="to")
    as_of: Instant
    by: domain.By
    groups: list[GroupOfFigures]
    breaches: list[Breaches] | None = Field(
        description="Of promises that began in the period, whoever's; by organisation only, else null."
    )
    terms: list[TenantTerms]
    formulas: dict[str, Formula] = Field(description="Those that are named here, by id.")

    @classmethod
    def of(cls, found: Report) -> Self:
        groups = [GroupOfFigures.of(group, figures) for group, figures in found.groups.items()]
        used = sorted({each.formula for one in groups for each in one.figures.values() if each.formula})
        words = {name: Formula(sentence=FORMULAS[name].sentence, source=FORMULAS[name].source) for name in used}
        told = {
            "from": written(when(found.wanted.since)),
            "to": written(when(found.wanted.until)),
            "as_of": written(when(found.as_of)),
            "by": found.wanted.by,
            "groups": groups,
            "breaches": [
                Breaches.of(tenant, metric, organisation, held)
                for tenant, divided in found.breaches.items()
                for (metric, organisation), held in divided.items()
            ]
            if found.wanted.by == "organisation"
            else None,
            "terms": [
                TenantTerms(
                    tenant=tenant,
                    version=found.versions[tenant],
                    repeat_window_seconds=found.windows[tenant] / SECOND,
                    queues=[Terms.of(each) for each in terms],
                )
                for tenant, terms in found.terms.items()
            ],
            "formulas": words,
        }
        return cls.model_validate(told)


def router() -> APIRouter:
    """The route; it needs the token."""
    routes = APIRouter(prefix="/v1", tags=["reading"], dependencies=[Depends(require_token)])

    @routes.get("/figures", responses=described())
    async def get_figures(
        here: Here,
        since: Annotated[AwareDatetime, Query(alias="from", description="Begin of the period, with a zone.")],
        until: Annotated[AwareDatetime, Query(alias="to", description="Its end, not part of it; at most 400 days.")],
        by: Annotated[domain.By, Query(description="What is told of together.")] = "queue",
        tenant: Name = None,
        queue: Name = None,
        organisation: Name = None,
        team: Name = None,
        channel: Name = None,
    ) -> Figures:
        """Figures of the contacts offered in a period, by queue, team, organisation or channel."""
        begin, end = to_us(since), to_us(until)
        fault = unfit(begin, end, by)
        if fault is not None:
            raise Refused(422, fault, "bad_period")
        wanted = Wanted(begin, end, by, tenant, queue, organisation, team, channel)
        async with reading(here.pool) as connection:
            found = await report(connection, wanted, here.clock.now())
        return Figures.of(found)

    return routes
