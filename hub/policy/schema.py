"""The JSON Schema of a bundle, made from the same words that the reader knows: editors complete and check with it.

It says all that can be said of one place at a time. What needs more (a zone that exists, intervals that don't overlap,
a calendar that a policy names, policies that can be chosen) only ``hub policy check`` finds.
"""

from __future__ import annotations

from typing import Any

from domain.calendars import DAYS
from domain.policies import MATCHABLE, METRICS, PRIORITIES, STATUSES
from domain.policy_reading import (
    BOUNDARIES,
    CALL_OPENS,
    HIGHEST_LEVEL,
    KEYS,
    LONGEST_NAME,
    MOST_CALENDARS,
    MOST_ENTRIES,
    OUTCOMES,
    REOPENS,
    TOP,
)
from domain.service_levels import SERVICE_LEVELS

Schema = dict[str, Any]  # Any: JSON
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DIGITS = "[0-9][0-9 ]*[smhd] *"
_MONTH_DAY = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))"
_DATE = f"(19|20|21)[0-9]{{2}}-{_MONTH_DAY}"
_TIME = "(([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?|24:00(:00)?)"


def schema() -> Schema:
    """The whole schema, as a document of its own."""
    return {
        "$schema": DRAFT,
        "title": "A bundle of the interaction hub: calendars, policies, routes and escalations",
        **_object(
            TOP,
            name=_said("What the bundle is called.", _ref("name")),
            calendars=_said(
                "By name, the hours that promises are counted in.",
                {**_named(_ref("calendar")), "maxProperties": MOST_CALENDARS},
            ),
            policies=_said("What is promised; the first whose match holds counts.", _entries("policy")),
            routes=_said("Who owns a ticket when it opens; the first whose match holds counts.", _entries("route")),
            escalations=_said("To whom a ticket goes when a promise is in danger or missed.", _entries("escalation")),
            queues=_said("By name, how a queue's service level is computed.", _named(_ref("queue"))),
            tickets=_ref("tickets"),
        ),
        "$defs": _calendars() | _promises() | _values(),
    }


def _promises() -> dict[str, Schema]:
    owner: Schema = {name: _ref("name") for name in KEYS["to"]}
    outcome: Schema = {"enum": list(OUTCOMES)}
    return {
        "policy": _object(
            "policy",
            "name",
            "calendar",
            "targets",
            name=_said("What verdicts call it; no two have the same.", _ref("name")),
            match=_ref("match"),
            calendar=_said("One of calendars.", _ref("name")),
            targets=_said(
                "Per metric what is promised.",
                {"properties": {metric: _ref("target") for metric in METRICS}, "minProperties": 1, **_CLOSED},
            ),
            warnings=_said(
                "When to warn: percents of the target, and times before the due, such as 15m.",
                {"type": "array", "items": _ref("warning")},
            ),
            boundary=_said("When a target is due that is used up exactly at a closing.", {"enum": list(BOUNDARIES)}),
            reopen=_said("What becomes of the clock of a reopened ticket.", {"enum": list(REOPENS)}),
        ),
        "target": {
            "anyOf": [
                _said("For tickets of every priority.", _ref("duration")),
                {
                    **_object(
                        "target",
                        **{priority: _ref("duration") for priority in PRIORITIES},
                        pauses=_said(
                            "The statuses in which the clock stands.",
                            {"type": "array", "items": {"enum": list(STATUSES)}},
                        ),
                    ),
                    "anyOf": [{"required": [priority]} for priority in PRIORITIES],
                },
            ]
        },
        "match": _said(
            "What a ticket has to be like: all of it has to hold, and without any it always holds.",
            {
                "properties": {name: _one_or_more(_ref("name")) for name in MATCHABLE}
                | {"priority": _one_or_more({"enum": list(PRIORITIES)})},
                **_CLOSED,
            },
        ),
        "route": _object(
            "route",
            "assign",
            match=_ref("match"),
            assign={"properties": {name: _ref("name") for name in KEYS["assign"]}, "minProperties": 1, **_CLOSED},
        ),
        "escalation": _object(
            "escalation",
            "name",
            "when",
            "to",
            name=_said("What it is called; no two have the same.", _ref("name")),
            match=_ref("match"),
            when={
                **_object(
                    "when",
                    "metric",
                    "outcome",
                    metric={"enum": list(METRICS)},
                    outcome=outcome,
                    threshold=_said("The warning that counts, as it stands in warnings.", _ref("warning")),
                ),
                "if": {"properties": {"outcome": {"const": "breached"}}},
                "then": {"properties": {"threshold": False}},
            },
            to={"properties": owner, "minProperties": 1, **_CLOSED},
            level=_said(
                "The ticket's level from then on.", {"type": "integer", "minimum": 1, "maximum": HIGHEST_LEVEL}
            ),
        ),
        "queue": _object(
            "queue",
            answer_within=_said("Calls answered within it are answered in time.", _ref("duration")),
            short_abandon=_said("Who gives up sooner is a short abandon; 0s for none.", _ref("duration_or_none")),
            formula=_said("The id of the formula of the service level.", {"enum": list(SERVICE_LEVELS)}),
        ),
        "tickets": _object(
            "tickets",
            join_window=_said("A contact joins the ticket that was touched within it.", _ref("duration")),
            close_after=_said("A resolved ticket closes after it.", _ref("duration")),
            concurrent_window=_said("Two parties that act within it work at once.", _ref("duration")),
            repeat_window=_said("A contact about the same within it is a repeated one.", _ref("duration")),
            subject_matter=_said(
                "Attributes of events; the first that an event carries says what it is about.",
                {"type": "array", "items": _ref("name")},
            ),
            call_opens=_said("When a call opens a ticket.", {"enum": list(CALL_OPENS)}),
        ),
    }


def _calendars() -> dict[str, Schema]:
    dates = {f"^({_DATE}|{_MONTH_DAY})$": _ref("spans")}
    years = {"anyOf": [{"type": "integer", "minimum": 1900, "maximum": 2199}, _text(r"^[0-9]{4}(-[0-9]{4})?$")]}
    return {
        "calendar": _object(
            "calendar",
            "hours",
            tz=_said("The time zone, by its IANA name; Etc/UTC if left out.", {"type": "string", "minLength": 1}),
            hours=_said(
                "Per weekday the intervals in which it is open.",
                {"properties": dict.fromkeys(DAYS, _ref("spans")), "minProperties": 1, **_CLOSED},
            ),
            holidays=_said("Closed dates.", {"type": "array", "items": _ref("holiday")}),
            breaks=_said("Per date, time that is taken out of its hours.", {"patternProperties": dates, **_CLOSED}),
            overrides=_said("Per date, hours in place of its weekday's.", {"patternProperties": dates, **_CLOSED}),
            holidays_from=_said("Per date, where it came from; written by hub policy apply.", _named(_ref("name"))),
        ),
        "spans": {"type": "array", "minItems": 1, "items": _ref("span")},
        "span": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": {"type": "string", "pattern": f"^{_TIME}$", "description": "HH:MM, in quotes; up to 24:00."},
        },
        "holiday": {
            "anyOf": [
                _said("A date, or one of each year.", _text(f"^({_DATE}|{_MONTH_DAY})$")),
                _said("A range, both ends included.", _text(f"^({_DATE}/{_DATE}|{_MONTH_DAY}/{_MONTH_DAY})$")),
                _said(
                    "The public holidays of a country, turned into dates when the bundle is applied.",
                    {
                        "required": ["country", "years"],
                        "properties": {
                            "country": _text("^[A-Z]{2}$"),
                            "subdivision": _ref("name"),
                            "language": _ref("name"),
                            "years": years,
                        },
                        **_CLOSED,
                    },
                ),
                _said(
                    "The whole days of an iCalendar feed: a file beside the bundle, or an https address.",
                    {"required": ["ical"], "properties": {"ical": _text("^."), "years": years}, **_CLOSED},
                ),
            ]
        },
    }


def _values() -> dict[str, Schema]:
    said = "A sum of s, m, h and d, such as 90s or 1h30m."
    return {
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_NAME,
            "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
        },
        "duration": _said(said, _text(f"^(?=.*[1-9]) *({_DIGITS})+$")),
        "duration_or_none": _said(said, _text(f"^ *({_DIGITS})+$")),
        "warning": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 99}, _ref("duration")]},
    }


_CLOSED: Schema = {"type": "object", "additionalProperties": False}


def _object(part: str, *required: str, **properties: Schema) -> Schema:
    """An object with the keys of a part of a bundle, all of them and no others."""
    assert set(properties) == set(KEYS[part]), f"{part}: the schema and the reader know different keys"
    return {**_CLOSED, "properties": properties} | ({"required": list(required)} if required else {})


def _named(values: Schema) -> Schema:
    return {"type": "object", "propertyNames": _ref("name"), "additionalProperties": values}


def _entries(part: str) -> Schema:
    return {"type": "array", "items": _ref(part), "maxItems": MOST_ENTRIES}


def _one_or_more(value: Schema) -> Schema:
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}


def _text(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _said(description: str, value: Schema) -> Schema:
    return {"description": description, **value}
