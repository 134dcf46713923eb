"""A bundle as text: every fault with its line, and nothing that anybody writes takes the stage down."""

from __future__ import annotations

import copy
import time
from datetime import UTC, date, datetime

import msgspec
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import HubError, PolicyInvalid
from domain.policy_checks import problems
from domain.policy_reading import read_bundle
from schemas.records import Configuration
from schemas.vocabulary import CONFIGURATION
from streams import configuration
from streams.configuration import LARGEST, canonical, canonical_configuration, checked, read
from tests.domain.stories import AROUND_THE_CLOCK, event
from tests.domain.whole_bundle import FULL, PATHS, at

BASE = yaml.safe_dump(AROUND_THE_CLOCK)
NINE = ", ".join(["*{0}"] * 9)


def published(text: str) -> str:
    """What the identity stage makes of a text."""
    told = event("policy", CONFIGURATION, 0)
    return canonical_configuration(msgspec.structs.replace(told, facts=Configuration("default", text)))


def faults(text: str) -> list[tuple[str, int, int]]:
    return [(fault.where, fault.line, fault.column) for fault in checked(text).faults]


def test_every_fault_has_its_line_and_column() -> None:
    text = """\
name: standard
calendars:
  office:
    tz: Mars
    hours:
      mon: [["09:00", "17:00"], ["16:00", "18:00"]]
policies:
  - name: one
    calendar: nowhere
    targets:
      resolution:
        high: -4h
        pauses:
          - pending
          - asleep
    warnings: [50, 900]
  - calendar: office
    match: {color: red}
    targets: {resolution: 4h}
tickets: {join_window: 72}
"""
    assert faults(text) == [
        ("calendars.office.tz", 4, 9),
        ("calendars.office.hours.mon[1]", 6, 33),
        ("policies[0].calendar", 9, 15),
        ("policies[0].targets.resolution.high", 12, 15),
        ("policies[0].targets.resolution.pauses[1]", 15, 13),
        ("policies[0].warnings[1]", 16, 20),
        ("policies[1].name", 17, 5),
        ("policies[1].match.color", 18, 20),
        ("tickets.join_window", 20, 24),
    ]


def test_a_document_is_what_yaml_says_it_is() -> None:
    text = """\
a: [1, 0x10, 1.5, yes, ~, "12", 12-25, 2026-05-01, '']
2026-05-01: {1: x, <<: &m {k: v, 1: y}}
b: {<<: [*m, {k: w, z: 1}], k: own}
c: &list [*m, !!str 5]
d: *list
"""
    assert read(text).faults == []
    expected = yaml.safe_load(text)
    assert msgspec.json.decode(canonical(read(text).document)) == msgspec.json.decode(
        msgspec.json.encode(expected, enc_hook=str)
    )


def test_the_same_bundle_written_in_another_way_has_the_same_canonical_form() -> None:
    again = yaml.safe_dump(AROUND_THE_CLOCK, default_flow_style=True, sort_keys=False, width=40)
    assert again != BASE
    assert published(again) == published(BASE) == published(msgspec.json.encode(AROUND_THE_CLOCK).decode())
    assert read_bundle(msgspec.json.decode(published(BASE)), 3).version == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", 2),
        ("name: x\n\tb: y", 2),
        ("name: x\n---\nname: y", 2),
        ("name: x\nname: y", 2),
        ("policies: &a [*a]", 1),
        ("name: *nobody", 1),
        ("name: !!python/object/apply:os.system [x]", 1),
        ("name: !!binary eA==", 1),
        ("name: !secret x", 1),
        ("name: x\ncalendars: !!set {a, b}", 2),
        ("name: 2026-02-30", 1),
        ("name: !!bool maybe", 1),
        ("name: !!int ''", 1),
        ("name: !!timestamp never", 1),
        ("name: x\ntickets: {close_after: " + "9" * 5000 + "}", 2),
        ("name: .nan", 1),
        ("? [a, b]\n: c", 1),
        ("? {a: b}\n: c", 1),
        ("name: x\n? ~\n: c", 2),
        ("<<: 5", 1),
        ("'" + "k" * 500 + "': x", 1),
        ('name: "\\ud800"', 1),
        ('name: "\\0"', 1),
        ("name: x\x01", 0),
        ("name: \ud800", 0),
        ("[" * 100_000, 1),
        ("- " * 100_000, 1),
        ("? " * 100_000, 1),
        ("{a: " * 100_000, 1),
        ("# " + "x" * LARGEST, 1),
        ("'" + "k" * 390 + "': [" + "1," * 200_000 + "]", 1),
        ("name: [" + "x, " * 150_000 + "]", 1),
        ("", 1),
        ("null", 1),
        ("text", 1),
        ("[]", 1),
        ("%YAML 3.0\n---\nname: x", 1),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_odd_text_is_refused_soon_and_with_its_place(text: str, line: int) -> None:
    began = time.monotonic()
    found = checked(text).faults
    assert found
    assert found[0].line == line
    with pytest.raises(PolicyInvalid) as refused:
        published(text)
    assert len(str(refused.value).encode()) < 2000
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("inside", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_that_grow_without_end_are_refused(inside: str) -> None:
    levels = [f"l{n + 1}: &l{n + 1} {inside.format(NINE.format(f'l{n}'))}" for n in range(30)]
    text = "\n".join(["l0: &l0 {k: v}", *levels])
    (fault,) = checked(text).faults
    assert fault.reason == "too_large"


def test_what_is_small_as_yaml_and_large_as_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "LARGEST", 2000)
    holidays = "[" + ", ".join(f"2026-01-{n:02}" for n in range(1, 32)) + "]"
    hours = "{mon: [['09:00', '17:00']]}"
    calendars = "\n".join(f"  c{n}: *c" for n in range(90))
    with pytest.raises(PolicyInvalid, match="as JSON"):
        published(f"calendars:\n  c: &c {{holidays: {holidays}, hours: {hours}}}\n{calendars}\n")


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.datetimes(),
    st.text(max_size=8),
    st.sampled_from(["4h", "office", "mon", "09:00", "first_response", "12-25", "-1h", "normal"]),
    st.binary(max_size=4),
)
_words = st.one_of(
    st.sampled_from(
        ["name", "calendars", "policies", "routes", "escalations", "queues", "tickets", "match", "calendar", "targets",
         "hours", "tz", "holidays", "overrides", "warnings", "pauses", "when", "to", "assign", "resolution", "mon",
         "subject_matter", "holidays_from", "level", "2026-01-01"]
    ),
    st.text(max_size=5),
    st.integers(),
    st.dates(),
    st.none(),
)  # fmt: skip
_documents = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_words, inner, max_size=4)),
    max_leaves=25,
)


@given(_documents)
@settings(max_examples=300, deadline=None)
@example({"policies": [{"name": "x", "warnings": [True]}]})
def test_whatever_stands_in_yaml_is_taken_or_refused(document: object) -> None:
    text = yaml.dump(document, allow_unicode=True)
    _taken_or_refused(text)


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_whatever_text_there_is_is_taken_or_refused(text: str) -> None:
    _taken_or_refused(text)


@given(st.lists(st.tuples(st.integers(0, len(BASE) - 1), st.sampled_from("[]{}:,-&*!|>'\"%@#? \n\t<9a")), max_size=6))
@settings(max_examples=400, deadline=None)
def test_a_bundle_with_a_few_letters_changed_is_taken_or_refused(changes: list[tuple[int, str]]) -> None:
    text = list(BASE)
    for index, letter in changes:
        text[index] = letter
    _taken_or_refused("".join(text))


STRANGE: tuple[object, ...] = (
    None, True, -1, 0, 5, 10**30, 2**70, 0.5, float("nan"), float("inf"), "", "x", "\x00", "\ud800", "x" * 5000, b"x",
    "-" * 50, "9" * 400 + "h", [], {}, [[]], [{}], [None], [True], [5], [[5]], {"x"}, (1, 2), {"high": 5}, {None: 1},
    {5: 5}, {0.5: 1}, {"": ""}, {"\ud800": 1}, date(2026, 5, 1), datetime(2026, 5, 1, tzinfo=UTC), [date(2026, 5, 1)],
    {date(2026, 5, 1): 5}, [["09:00", None]], [[date(2026, 5, 1), "17:00"]],
)  # fmt: skip


@pytest.mark.parametrize("path", [(), *PATHS], ids=lambda path: ".".join(map(str, path)))
def test_whatever_stands_at_a_place_is_taken_or_refused(path: tuple[str | int, ...]) -> None:
    for value in STRANGE:
        document = copy.deepcopy(FULL)
        if path:
            at(document, path[:-1])[path[-1]] = value
        else:
            document = value
        found = problems(document)
        if not found:
            assert read_bundle(msgspec.json.decode(canonical(document)), 1)
        try:
            assert read_bundle(document, 1).version == 1
        except HubError:
            assert found  # what can't be read is refused before it is published


def _taken_or_refused(text: str) -> None:
    try:
        body = published(text)
    except HubError as refused:
        assert checked(text).faults
        str(refused).encode()
        return
    read_bundle(msgspec.json.decode(body), 1)  # what is published can be read, for ever
