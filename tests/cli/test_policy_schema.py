"""The JSON Schema takes and refuses the same bundles as the reader, but for what a schema can't say."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import HubError, Reason
from domain.policies import MATCHABLE, METRICS, PRIORITIES, STATUSES
from domain.policy_checks import problems
from domain.policy_reading import KEYS, Reader
from domain.service_levels import SERVICE_LEVELS
from hub.policy.schema import schema
from tests.cli.running import inside
from tests.docs.pages import code
from tests.domain.whole_bundle import FULL, PATHS, at
from tests.shared import ROOT

Json = Any  # Any: JSON
VALIDATOR = jsonschema.Draft202012Validator(schema())
PAGE = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")

#: Faults that need more than one place to be seen, or a list that no schema holds: reason, and words of its detail.
BEYOND = (
    (Reason.UNKNOWN_ZONE, ""),
    (Reason.NEVER_OPENS, ""),
    (Reason.OVERLAP, ""),
    (Reason.BAD_INTERVAL, "does not end after"),
    (Reason.UNKNOWN_KEY, "there is no calendar"),
    (Reason.BAD_VALUE, "longer than 50 years"),
    (Reason.BAD_VALUE, "is no range of dates"),
    (Reason.BAD_VALUE, "02-29"),
    (Reason.BAD_VALUE, "can't be printed"),
)

names = st.sampled_from(["office", "shipping", "vendor-a", "team 1", "x"])
durations = st.sampled_from(["4h", "90s", "1h30m", "2d", " 1 h", "001m"])
times = st.sampled_from([["09:00", "12:00"], ["13:00", "24:00"], ["00:00", "09:00:30"]])
spans = st.lists(times, min_size=1, max_size=3, unique_by=tuple)
dates = st.sampled_from(["2026-05-01", "12-25", "02-29", "2199-12-31"])
ranges = st.sampled_from(["2026-12-24/2027-01-01", "12-24/01-02"])
matches = st.dictionaries(st.sampled_from(MATCHABLE), st.one_of(names, st.lists(names, min_size=1, max_size=2)))
matches = matches.map(lambda match: {k: v for k, v in match.items() if k != "priority"} | {"priority": "high"})
warnings = st.lists(st.one_of(st.integers(1, 99), st.sampled_from(["15m", "1h"])), max_size=3)


def fields(**optional: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=optional)


calendars = st.fixed_dictionaries(
    {"hours": st.dictionaries(st.sampled_from(["mon", "tue", "sun"]), spans, min_size=1)},
    optional={
        "tz": st.sampled_from(["Europe/Berlin", "Etc/UTC"]),
        "holidays": st.lists(st.one_of(dates, ranges), max_size=3),
        "breaks": st.dictionaries(dates, spans, max_size=2),
        "overrides": st.dictionaries(dates, spans, max_size=2),
        "holidays_from": st.dictionaries(dates, names, max_size=2),
    },
)
targets = st.one_of(
    durations,
    st.fixed_dictionaries(
        {"high": durations},
        optional={"low": durations, "pauses": st.lists(st.sampled_from(STATUSES[1:]), max_size=2)},
    ),
)
policies = st.fixed_dictionaries(
    {
        "name": names,
        "calendar": st.just("office"),
        "targets": st.dictionaries(st.sampled_from(METRICS), targets, min_size=1, max_size=3),
    },
    optional={
        "match": matches,
        "warnings": warnings,
        "boundary": st.sampled_from(["next_open", "close"]),
        "reopen": st.sampled_from(["resume", "count_closed", "new_cycle"]),
    },
)
owners = st.dictionaries(st.sampled_from(["queue", "team", "organisation"]), names, min_size=1)
escalations = st.fixed_dictionaries(
    {
        "name": names,
        "when": st.one_of(
            st.fixed_dictionaries({"metric": st.sampled_from(METRICS), "outcome": st.just("breached")}),
            st.fixed_dictionaries(
                {"metric": st.sampled_from(METRICS), "outcome": st.just("warned")},
                optional={"threshold": st.sampled_from([50, "15m"])},
            ),
        ),
        "to": owners,
    },
    optional={"match": matches, "level": st.integers(1, 99)},
)
queues = fields(
    answer_within=durations, short_abandon=st.sampled_from(["0s", "5s"]), formula=st.sampled_from(SERVICE_LEVELS)
)
tickets = fields(
    join_window=durations,
    close_after=durations,
    concurrent_window=durations,
    repeat_window=durations,
    subject_matter=st.lists(names, max_size=2),
    call_opens=st.sampled_from(["abandoned", "queued", "never"]),
)
bundles = st.fixed_dictionaries(
    {"calendars": st.fixed_dictionaries({"office": calendars}, optional={"other": calendars})},
    optional={
        "name": names,
        "policies": st.lists(policies, max_size=2),
        "routes": st.lists(fields(match=matches, assign=owners).filter(lambda r: "assign" in r), max_size=2),
        "escalations": st.lists(escalations, max_size=2),
        "queues": st.dictionaries(names, queues, max_size=2),
        "tickets": tickets,
    },
)
ODD_TEXTS = (
    "-4h", "0s", "4", "h", "1w", "1h 30 m", "25:00", "24:01", "9:00", "02-30", "13-01", "1899-01-01", "2200-01-01",
    "2026-05-01/12-25", "2026-5-1", "asleep", "highest", "Mars/Olympus", "x" * 201,
)  # fmt: skip
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 101),
    st.floats(0.1, 0.9),
    st.text("aé4hm-:/\x00", max_size=4),
    st.sampled_from(ODD_TEXTS),
    st.just([]),
    st.just({}),
    st.just([["09:00", "17:00"]]),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    st.just({"color": "red"}),
)


def places(document: Json) -> Iterator[tuple[Json, Json]]:
    """Every container of a document with each of its keys or indices."""
    entries = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(entries):
        yield document, key
        if isinstance(value, dict | list):
            yield from places(value)


@st.composite
def changed(draw: st.DrawFn) -> Json:
    """A bundle with one or two places changed, dropped or added."""
    document = copy.deepcopy(draw(bundles))
    for _ in range(draw(st.integers(0, 2))):
        container, key = draw(st.sampled_from(list(places(document))))
        match draw(st.sampled_from(["change", "drop", "add"])):
            case "change":
                container[key] = draw(odd)
            case "drop":
                del container[key]
                if not document:
                    break
            case _ if isinstance(container, dict):
                container[draw(st.sampled_from(["color", "holidays_from", "pauses", "threshold", "low"]))] = draw(odd)
            case _:
                container.append(draw(odd))
    return document


ODD: tuple[Json, ...] = (
    *ODD_TEXTS, None, True, -1, 0, 1, 2, 50, 99, 100, 101, 0.5, "", "\x00", "15m", "0m", "2026-05-01", "12-25", "02-31",
    "04-31", "04-30", "01-31", "breached", "warned", "high", "pending", "office", [], {}, [[]], [{}], [None], ["x"],
    [50], ["high"],
    [["09:00", "17:00"]], [["09:00"]], [["09:00", "17:00", "18:00"]], [["09:00", 5]], {"x": "y"}, {"high": "1h"},
    {"threshold": 5},
)  # fmt: skip


def with_one_place(path: tuple[Json, ...]) -> Iterator[Json]:
    """The full bundle without a place, and with each odd value in it."""
    *above, key = path
    dropped = copy.deepcopy(FULL)
    del at(dropped, tuple(above))[key]
    yield dropped
    for value in ODD:
        document = copy.deepcopy(FULL)
        container = at(document, tuple(above))
        container[key] = value
        yield document


def agree(document: Json) -> None:
    """The schema and the reader take the document, or refuse it, but for what a schema can't say."""
    found = faults(document)
    said = [error.message for error in VALIDATOR.iter_errors(document)]
    if said:
        assert found, said
    for error in found:
        if not any(error.reason is reason and words in error.detail for reason, words in BEYOND):
            assert said, str(error)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_the_schema_and_the_reader_agree_place_by_place(path: tuple[Json, ...]) -> None:
    for document in with_one_place(path):
        agree(document)


def test_the_schema_and_the_reader_agree_on_unknown_keys_everywhere() -> None:
    assert problems(FULL) == []
    mappings = [path for path in [(), *PATHS] if isinstance(at(FULL, path), dict)]
    assert len(mappings) > 20
    for path in mappings:
        document = copy.deepcopy(FULL)
        at(document, path)["color"] = "red"
        agree(document)


def faults(document: Json) -> list[HubError]:
    reader = Reader(strict=True)
    reader.bundle(document, 0)
    return reader.found


@given(changed())
@settings(max_examples=150, deadline=None)
@example({"calendars": {"office": {"hours": {"mon": [["09:00", "17:00"]]}}}, "policies": []})
def test_the_schema_and_the_reader_agree(document: Json) -> None:
    agree(document)


@given(bundles)
@settings(max_examples=100, deadline=None)
def test_what_has_only_known_parts_in_known_shapes_is_taken_by_the_schema(document: Json) -> None:
    assert list(VALIDATOR.iter_errors(document)) == []


def test_every_key_that_the_reader_knows_is_in_the_schema_and_no_other() -> None:
    made = schema()

    def keys(part: Json) -> set[str]:
        return set(part["properties"])

    defs = made["$defs"]
    assert keys(made) == set(KEYS["bundle"])
    for part in ("calendar", "policy", "route", "escalation", "queue", "tickets"):
        assert keys(defs[part]) == set(KEYS[part])
    assert keys(defs["target"]["anyOf"][1]) == {*PRIORITIES, "pauses"}
    assert keys(defs["match"]) == set(MATCHABLE)
    assert keys(defs["policy"]["properties"]["targets"]) == set(METRICS)


def test_the_schema_is_one_and_is_printed() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    ran = inside("policy", "schema")
    assert ran.code == 0
    assert msgspec.json.decode(ran.out) == schema()


@pytest.mark.parametrize(
    "holiday",
    [
        {"country": "DE", "years": "2026-2028"},
        {"country": "DE", "subdivision": "BE", "years": 2026, "language": "de"},
        {"ical": "closed.ics"},
        {"ical": "https://example.com/closed.ics", "years": "2026"},
    ],
)
def test_what_is_turned_into_dates_before_the_log_is_in_the_schema(holiday: Json) -> None:
    office = {"hours": {"mon": [["09:00", "17:00"]]}, "holidays": [holiday]}
    assert list(VALIDATOR.iter_errors({"calendars": {"office": office}})) == []
    assert problems({"calendars": {"office": office}})
    office["holidays"] = [{**holiday, "country": "Germany"}]
    assert list(VALIDATOR.iter_errors({"calendars": {"office": office}}))


def test_the_bundles_of_the_docs_are_taken_by_the_schema() -> None:
    import yaml

    texts = [piece.text for piece in code(PAGE) if piece.language == "yaml"]
    assert texts
    for text in texts:
        document = msgspec.json.decode(msgspec.json.encode(yaml.safe_load(text)))
        assert list(VALIDATOR.iter_errors(document)) == []
