"""What differs between two bundles, part by part, in the words of the YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from domain.business_time import Calendar
from domain.policies import PRIORITIES, SECOND, Bundle, Match, Policy, Target
from domain.policy_reading import KEYS

Kind = Literal["added", "removed", "changed"]
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


class Change(msgspec.Struct, frozen=True):
    """One part that differs. ``place``: as in the YAML, but entries of lists stand under their names."""

    place: str
    kind: Kind
    before: str | None
    after: str | None

    def __str__(self) -> str:
        match self.kind:
            case "added":
                return f"+ {self.place}: {self.after}"
            case "removed":
                return f"- {self.place}: {self.before}"
            case _:
                return f"~ {self.place}: {self.before} → {self.after}"


def difference(before: Bundle, after: Bundle) -> list[Change]:
    """The changes from ``before`` to ``after``, in the order of the bundle's parts; none where they mean the same."""
    old, new = dict(_parts(before)), dict(_parts(after))
    found = []
    for place in [*new, *(place for place in old if place not in new)]:
        was, now = old.get(place), new.get(place)
        if was is None:
            found.append(Change(place, "added", None, now))
        elif now is None:
            found.append(Change(place, "removed", was, None))
        elif was != now:
            found.append(Change(place, "changed", was, now))
    order = {name: index for index, name in enumerate(KEYS["bundle"])}
    found.sort(key=lambda change: order.get(change.place.partition(".")[0], 0))
    return found


def span(microseconds: int) -> str:
    """A duration as one writes it in a bundle: ``1h30m``; days of 24 hours from two days on."""
    left, text = microseconds // SECOND, ""
    for unit, seconds in _UNITS:
        if left >= seconds and (unit != "d" or left >= 2 * seconds):
            text += f"{left // seconds}{unit}"
            left %= seconds
    return text or "0s"


def conditions(match: Match) -> str:
    """A match as one reads it."""
    found = [f"{name}={'|'.join(sorted(accepted))}" for name, accepted in match.conditions]
    return ", ".join(found) or "everything"


def warning(value: int) -> str:
    """A warning as one writes it in a bundle."""
    return f"{value} %" if value > 0 else f"{span(-value * SECOND)} before"


def _parts(bundle: Bundle) -> Iterator[tuple[str, str]]:
    if bundle.name:
        yield "name", bundle.name
    for name, calendar in bundle.calendars.items():
        yield from _calendar(f"calendars.{name}", calendar, bundle.sources.get(name, {}))
    for policy in bundle.policies:
        yield from _policy(f"policies.{policy.name}", policy)
    yield from _order("policies", [policy.name for policy in bundle.policies])
    routes = [conditions(route.match) for route in bundle.routes]
    for name, route in zip(routes, bundle.routes, strict=True):
        yield f"routes.({name})", _owner(queue=route.queue, team=route.team, organisation=route.organisation)
    yield from _order("routes", routes)
    for each in bundle.escalations:
        where = f"escalations.{each.name}"
        yield f"{where}.match", conditions(each.match)
        at = f" at {warning(each.threshold)}" if each.threshold else ""
        yield f"{where}.when", f"{each.metric} is {each.on}{at}"
        owner = _owner(queue=each.queue, team=each.team, organisation=each.organisation, person=each.person)
        yield f"{where}.to", owner
        yield f"{where}.level", str(each.level)
    for name, terms in bundle.queues.items():
        yield f"queues.{name}.answer_within", span(terms.answer_within)
        yield f"queues.{name}.short_abandon", span(terms.short_abandon)
        yield f"queues.{name}.formula", terms.formula
    if bundle.name:
        for name in ("join_window", "close_after", "concurrent_window", "repeat_window"):
            yield f"tickets.{name}", span(getattr(bundle, name))
        yield "tickets.subject_matter", ", ".join(bundle.subject_matter) or "nothing"
        yield "tickets.call_opens", bundle.call_opens


def _calendar(where: str, calendar: Calendar, sources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    told = msgspec.json.decode(calendar.rules.canonical)
    yield f"{where}.tz", told["tz"]
    for part in ("hours", "breaks", "overrides"):
        for day, spans in told[part].items():
            yield f"{where}.{part}.{day}", ", ".join("-".join(bounds) for bounds in spans)
    for day in told["holidays"]:
        yield f"{where}.holidays.{day}", sources.get(day, "closed")


def _policy(where: str, policy: Policy) -> Iterator[tuple[str, str]]:
    yield f"{where}.match", conditions(policy.match)
    yield f"{where}.calendar", policy.calendar
    for metric, target in policy.targets.items():
        yield from _target(f"{where}.targets.{metric}", target)
    yield f"{where}.warnings", ", ".join(map(warning, policy.warnings)) or "never"
    yield f"{where}.boundary", policy.boundary
    yield f"{where}.reopen", policy.reopen


def _target(where: str, target: Target) -> Iterator[tuple[str, str]]:
    for priority in PRIORITIES:
        if priority in target.durations:
            yield f"{where}.{priority}", span(target.durations[priority])
    yield f"{where}.pauses", ", ".join(sorted(target.pauses)) or "never"


def _order(part: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(names) > 1:
        yield f"{part}.order", ", then ".join(names)


def _owner(**parts: str | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value) or "nobody"
