"""``hub sla what-if``: a period judged again as if another bundle had always held, beside how it was judged.

The log is read, partition by partition, and folded twice in memory: by the bundles that are on it, and by the candidate
in their place, with its calendars, routes and windows. Nothing is written anywhere. The candidate is told the time as
soon as something of it comes due, since the log tells it only when something of the real bundles did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from domain.casework import Casework
from domain.errors import HubError
from domain.policies import Bundle
from hub.http.answers import instant, instant_or_none
from hub.policy.applying import configuration_event
from hub.policy.files import check
from hub.policy.showing import print_faults, this_year
from hub.sla.fates import NOT_PROMISED, OUTCOMES, RETRACTED, Difference, Example, Fate, Fates, Owner, Row, kept
from hub.sla.period import EVER, FOR_EVER, Period
from hub.sla.words import lasting, moment, promise
from hub.verify.command import check_partitions
from hub.verify.fingerprint import header_of
from hub.verify.log import Log, open_log
from hub.verify.refold import Refold
from hub.wiring import casework_topics, codec_for, collect_seldom
from runtime.clock import SECOND
from runtime.settings import Settings
from schemas.codec import Codec, NotDecodable
from schemas.records import ConfigurationPublished, InteractionReceived, TimeAdvanced, Value
from streams.casework import CaseworkFold, CaseworkTopics, read_published
from streams.configuration import canonical_configuration
from streams.identity import DECIDED_BY

CANDIDATE = 1 << 62
"""The version of the candidate: above all that identity gives out."""
COLUMNS = (*OUTCOMES, RETRACTED)


def candidate_of(text: str, tenant: str) -> Bundle:
    """The bundle that a text says, under the candidate's version. Raises ``HubError`` with what is wrong, and where."""
    body = canonical_configuration(configuration_event(text, tenant, 0))
    return read_published(ConfigurationPublished("", tenant, "what-if", CANDIDATE, 0, body))


class Twice:
    """One partition's log, judged as it was and as it would be."""

    def __init__(self, tenant: str, candidate: Bundle, period: Period, retention_days: int) -> None:
        self._tenant = tenant
        self._was, self._would = Casework(retention_days), Casework(retention_days)
        self._would.configure(tenant, candidate)
        self._told = 0
        self.before, self.after = Fates(period), Fates(period)

    def take(self, customer: str, contact_point: str, value: Value) -> None:
        """Fold one record."""
        match value:
            case ConfigurationPublished():
                if value.tenant == self._tenant:
                    self._was.configure(value.tenant, read_published(value))
            case TimeAdvanced():
                self._tell(value.now)
                self.before.take(self._was.advance(value.now))
                self.after.take(self._would.advance(value.now))
            case InteractionReceived():
                self._tell(value.received_at)
                if value.tenant == self._tenant:
                    self._received(customer, contact_point, value)

    def put_back(self) -> None:
        """Customers that were looked at are held as bytes again."""
        self._was.changed()
        self._would.changed()

    def _received(self, customer: str, contact_point: str, event: InteractionReceived) -> None:
        for casework, fates in ((self._was, self.before), (self._would, self.after)):
            try:
                fates.take(casework.received(customer, contact_point, event))
            except HubError:  # a command that can't be carried out: a dead letter then, and nothing here
                continue

    def _tell(self, now: int) -> None:
        """Time has come to ``now``: whatever was due by then under the candidate fires, each at its own instant."""
        self._told = max(self._told, now)
        while (due := self._would.due()) is not None and due <= self._told:
            self.after.take(self._would.advance(due))

    def end(self) -> None:
        """Both are told the newest instant of the log."""
        self.before.take(self._was.advance(self._told))
        self.after.take(self._would.advance(self._told))


async def what_if(
    settings: Settings, candidate: Bundle, tenant: str, period: Period, by_team: bool, say: Console | None = None
) -> Difference:
    """Judge a period twice and compare. Raises ``Refused`` for a log without its beginning."""
    topics, codec, found = casework_topics(settings), await codec_for(settings), Difference(by_team)
    async with open_log(settings.kafka) as log:
        numbers = list(range(settings.partitions))
        await check_partitions(settings, log, numbers)
        for number in numbers:
            if say is not None:
                say.print(f"partition {number} of {len(numbers)}", highlight=False)
            twice = Twice(tenant, candidate, period, settings.retention_days)
            await _fold(log, topics.identified, number, codec, twice)
            found.add(twice.before, twice.after)
    return found


async def _fold(log: Log, topic: str, partition: int, codec: Codec, twice: Twice) -> None:
    refold = Refold(CaseworkFold(codec, CaseworkTopics("", "", "", "", "", "")))  # for what it accepts, and no more
    async for records in log.read(topic, partition, *await log.whole(topic, partition)):
        for record in records:
            if not refold.accepts(record):
                continue
            try:
                value = codec.decode(record.value or b"")
            except NotDecodable:
                continue
            twice.take((record.key or b"").decode(), header_of(record, DECIDED_BY), value)
        twice.put_back()
    twice.end()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be compared, and how it is to be shown."""

    file: Path
    tenant: str
    period: Period
    by_team: bool
    as_json: bool


async def run(settings: Settings, asked: Asked, out: Console, err: Console) -> int:
    """Judge and print. Returns 2 when the candidate can't be used, with the place of what is wrong."""
    checked = await asyncio.to_thread(check, asked.file, this_year(settings))
    print_faults(checked, err)
    if checked.faults:
        return 2
    candidate = candidate_of(checked.text, asked.tenant)
    collect_seldom()
    found = await what_if(settings, candidate, asked.tenant, asked.period, asked.by_team, err)
    if asked.as_json:
        out.print_json(msgspec.json.encode(_document(found, asked.tenant, asked.period)).decode())
    else:
        _show(found, asked.period, asked.file.name, out)
    return 0


# --- for people


def _show(found: Difference, period: Period, name: str, out: Console) -> None:
    since = "the beginning" if period.begin == EVER.begin else moment(period.begin)
    until = "now" if period.end == FOR_EVER else moment(period.end)
    out.print(f"{found.clocks} clocks that began from {since} to {until}, as they were and under {name}:", markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("organisation", *(["team"] if found.by_team else []), *COLUMNS, "kept"):
        table.add_column(column)
    for owner in sorted(found.rows):
        names = [owner.organisation or "nobody", *([owner.team] if found.by_team else [])]
        table.add_row(*names, *_cells(found.rows[owner]))
    table.add_row("all", *([""] if found.by_team else []), *_cells(found.total()), style="bold")
    out.print(table)
    if not found.changes:
        out.print("every clock ends as it did")
    for (before, after), count in sorted(found.changes.items()):
        out.print(f"{count} from {before} to {after}, such as:", highlight=False)
        for each in [one for one in found.examples if _change(one) == (before, after)][:3]:
            ticket, metric, cycle = each.key
            what = f"{promise(metric)} (cycle {cycle})" if cycle > 1 else promise(metric)
            words = f"{what} of ticket {ticket}: {_said(each.before)}; then {_said(each.after)}"
            out.print(f"  {words}", highlight=False, markup=False, soft_wrap=True)


def _change(example: Example) -> tuple[str, str]:
    before, after = example.before, example.after
    return before.outcome if before else NOT_PROMISED, after.outcome if after else NOT_PROMISED


def _cells(row: Row) -> list[str]:
    cells = [_cell(row.before[name], row.after[name]) for name in COLUMNS]
    return [*cells, f"{_percent(kept(row.before))} → {_percent(kept(row.after))}"]


def _cell(before: int, after: int) -> str:
    return f"{before}" if before == after else f"{before} → {after}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1f} %"


def _said(fate: Fate | None) -> str:
    if fate is None:
        return NOT_PROMISED
    due = f", due {moment(fate.due_at)}" if fate.due_at is not None else ""
    return f"{fate.outcome} after {lasting(fate.elapsed)} of {lasting(fate.target)}{due} ({fate.policy})"


# --- for programs


def _document(found: Difference, tenant: str, period: Period) -> dict[str, object]:
    return {
        "tenant": tenant,
        "from": None if period.begin == EVER.begin else instant(period.begin),
        "to": None if period.end == FOR_EVER else instant(period.end),
        "clocks": found.clocks,
        "rows": [
            {**_owner(owner, found.by_team), "before": _counts(row.before), "after": _counts(row.after)}
            for owner, row in sorted(found.rows.items())
        ],
        "changes": [
            {"before": before, "after": after, "clocks": count}
            for (before, after), count in sorted(found.changes.items())
        ],
        "examples": [
            {
                "ticket": each.key[0],
                "metric": each.key[1],
                "cycle": each.key[2],
                "before": _fate(each.before),
                "after": _fate(each.after),
            }
            for each in found.examples
        ],
    }


def _owner(owner: Owner, by_team: bool) -> dict[str, str | None]:
    named: dict[str, str | None] = {"organisation": owner.organisation or None}
    return named | ({"team": owner.team or None} if by_team else {})


def _counts(counts: Mapping[str, int]) -> dict[str, float | None]:
    return {name: counts.get(name, 0) for name in COLUMNS} | {"kept_percent": kept(counts)}


def _fate(fate: Fate | None) -> dict[str, object] | None:
    if fate is None:
        return None
    return {
        "outcome": fate.outcome,
        "organisation": fate.owner.organisation or None,
        "team": fate.owner.team or None,
        "policy": fate.policy,
        "target_seconds": fate.target / SECOND,
        "elapsed_seconds": fate.elapsed / SECOND,
        "due_at": instant_or_none(fate.due_at),
        "retracted": fate.retracted,
    }
