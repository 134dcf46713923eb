"""A bundle as text: YAML to a checked document, each fault with its line and column, and the canonical JSON of it.

YAML's events are read one by one into texts, numbers, dates, lists and mappings, and nothing else: anybody may write a
configuration to the topic, so no text may take the stage down, by its depth, its size, its aliases or its tags. What
the parts mean is in ``domain.policy_reading`` and ``domain.policy_checks``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple, NoReturn

import msgspec
import yaml

from domain.errors import HubError, PolicyInvalid, Reason
from domain.policy_checks import problems
from domain.policy_reading import TOP
from schemas.records import Configuration, InteractionReceived

LARGEST = 1_000_000  # characters of YAML, and bytes of JSON: it goes to every partition, in one record
MOST_NODES = 100_000
DEEPEST = 20
LONGEST_KEY = 400
LONGEST_DETAIL = 500
_PLACES = 20_000_000  # characters of all the names of places together
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_resolver = yaml.resolver.Resolver()
_constructor = yaml.constructor.SafeConstructor()


class Fault(NamedTuple):
    """What is wrong with a bundle, and where: the place in the document, and in the text (from 1; 0 if not known)."""

    reason: Reason
    detail: str
    where: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}" if self.where else self.detail


@dataclass(slots=True)
class Written:
    """A document as it was written. ``places``: line and column of each part by its name, as errors name it.
    ``whole``: it was read to its end."""

    document: object = None
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    whole: bool = False

    def place(self, where: str) -> tuple[int, int]:
        """Line and column of a part, or of the nearest part around it that has a place."""
        while where and where not in self.places:
            where = where[: max(where.rfind("."), where.rfind("["), 0)]
        return self.places.get(where or TOP, (1, 1))

    def of(self, error: HubError, where: str | None = None) -> Fault:
        """An error about the document, with its place in the text; ``where``: its place in place of its own."""
        where = error.where if where is None else where
        detail = error.detail if len(error.detail) <= LONGEST_DETAIL else f"{error.detail[:LONGEST_DETAIL]}…"
        return Fault(error.reason, detail, where[: 2 * LONGEST_KEY], *self.place(where))


class _Stop(Exception):
    """Nothing after this can be read."""


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end is still to come. ``size``: how many nodes it holds, with those behind aliases."""

    value: list[object] | dict[str, object]
    where: str
    anchor: str | None
    size: int = 1
    key: str | None = None
    merged: dict[str, object] = field(default_factory=dict)


class _Alias(NamedTuple):
    value: object
    size: int


class _Mark(NamedTuple):
    line: int
    column: int


_MERGING = "<<"


class _Builder:
    """Puts a document together from YAML's events."""

    def __init__(self, written: Written) -> None:
        self._written = written
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Alias | None] = {}
        self._nodes = 0
        self._named = 0
        self.documents = 0

    def take(self, event: yaml.events.Event) -> None:
        """Add one event."""
        assert event.start_mark is not None
        mark = _Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        match event:
            case yaml.events.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self._stop(mark, "a second document begins here; a bundle is one", TOP)
            case yaml.events.ScalarEvent():
                self._scalar(event, mark)
            case yaml.events.AliasEvent():
                known = self._anchors.get(event.anchor or "")
                if known is None:
                    self._stop(
                        mark, f"*{event.anchor} stands for nothing, or for what it stands in itself", self._where()
                    )
                self._put(known.value, known.size, mark, None)
            case yaml.events.CollectionStartEvent():
                self._begin(event, mark)
            case yaml.events.CollectionEndEvent():
                self._end(mark)

    def _begin(self, event: yaml.events.CollectionStartEvent, mark: _Mark) -> None:
        if self._expects_key():
            self._stop(mark, "a key is a text, not a list or a mapping", self._where())
        if event.tag not in (None, "!", f"{_TAG}map", f"{_TAG}seq"):
            self._stop(mark, f"{event.tag} is no tag of a bundle; leave it out", self._where())
        if len(self._stack) >= DEEPEST:
            self._stop(mark, f"is deeper than {DEEPEST} levels", self._where(), Reason.TOO_LARGE)
        if event.anchor:
            self._anchors[event.anchor] = None
        made: list[object] | dict[str, object] = {} if isinstance(event, yaml.events.MappingStartEvent) else []
        where = self._where()
        self._count(1, mark)
        if not self._stack or self._stack[-1].key is None:
            self._note(where, mark)
        self._stack.append(_Open(made, where, event.anchor))

    def _end(self, mark: _Mark) -> None:
        done = self._stack.pop()
        if isinstance(done.value, dict):
            for key, value in done.merged.items():
                done.value.setdefault(key, value)
        if done.anchor:
            self._anchors[done.anchor] = _Alias(done.value, done.size)
        self._nodes -= done.size  # counted again where it is put
        self._put(done.value, done.size, mark, None)

    def _scalar(self, event: yaml.events.ScalarEvent, mark: _Mark) -> None:
        tag = event.tag
        if tag is None or tag == "!":
            tag = _resolver.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]  # their stubs
        if self._expects_key() and tag == _MERGE:
            self._stack[-1].key = _MERGING
            return
        value: object = event.value
        if tag != f"{_TAG}str":
            value = self._value(str(tag), event, mark)
        if event.anchor:
            self._anchors[event.anchor] = _Alias(value, 1)
        self._put(value, 1, mark, mark)

    def _value(self, tag: str, event: yaml.events.ScalarEvent, mark: _Mark) -> object:
        make = {
            "int": _constructor.construct_yaml_int,
            "float": _constructor.construct_yaml_float,
            "bool": _constructor.construct_yaml_bool,
            "null": _constructor.construct_yaml_null,
            "timestamp": _constructor.construct_yaml_timestamp,
            "value": _constructor.construct_scalar,  # a lone "=", which YAML 1.1 gives a tag of its own
        }.get(tag.removeprefix(_TAG) if tag.startswith(_TAG) else "")
        if make is None:
            self._stop(mark, f"{tag} is no tag of a bundle; leave it out", self._where())
        try:
            found: object = make(yaml.ScalarNode(f"{_TAG}str", event.value))
        # PyYAML looks at the shape of a value only, and whatever making it raises comes through: 2026-02-30, !!bool x.
        except (ValueError, KeyError, IndexError, OverflowError, AttributeError, TypeError):
            self._fault(mark, f"{event.value[:80]!r} is none that exists", self._where())
            return event.value
        return found

    def _put(self, value: object, size: int, mark: _Mark, scalar: _Mark | None) -> None:
        self._count(size, mark)
        if not self._stack:
            self._written.document = value
            self._note(TOP, mark)
            return
        around = self._stack[-1]
        around.size += size
        if isinstance(around.value, list):
            if scalar:
                self._note(self._where(), mark)
            around.value.append(value)
        elif around.key is None:
            around.key = self._key(value, around, mark)
        else:
            key, around.key = around.key, None
            if key == _MERGING:
                self._merge(value, around, mark)
                return
            if scalar:
                self._note(_inside(around.where, key), mark)
            around.value[key] = value

    def _key(self, value: object, around: _Open, mark: _Mark) -> str:
        """A key as text: YAML makes numbers and dates of some."""
        if isinstance(value, str):
            key = value
        elif isinstance(value, date) and not isinstance(value, datetime):
            key = value.isoformat()
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
            key = str(value)
        else:
            self._fault(mark, "this is no name; write a text, in quotes if need be", around.where)
            key = "?"
        if len(key) > LONGEST_KEY:
            self._stop(mark, f"{key[:60]!r}… is longer than {LONGEST_KEY} characters", around.where)
        place = _inside(around.where, key)
        assert isinstance(around.value, dict)
        if key in around.value:
            self._fault(mark, f"{key[:80]!r} is written twice; keep one of them", place, Reason.OVERLAP)
        self._note(place, mark)
        return key

    def _merge(self, value: object, around: _Open, mark: _Mark) -> None:
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                self._stop(mark, "<< takes mappings in, such as *name", around.where)
            for key, one in each.items():
                around.merged.setdefault(key, one)

    def _note(self, where: str, mark: _Mark) -> None:
        self._written.places[where] = mark
        self._named += len(where)
        if self._named > _PLACES:
            self._stop(mark, "has too many parts with long names up to here", TOP, Reason.TOO_LARGE)

    def _expects_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _where(self) -> str:
        """The name of what comes next."""
        if not self._stack:
            return TOP
        around = self._stack[-1]
        if isinstance(around.value, list):
            return f"{around.where}[{len(around.value)}]"
        return around.where if around.key is None else _inside(around.where, around.key)

    def _count(self, size: int, mark: _Mark) -> None:
        self._nodes += size
        if self._nodes > MOST_NODES:
            what = f"has more than {MOST_NODES} parts up to here, with what aliases repeat"
            self._stop(mark, what, TOP, Reason.TOO_LARGE)

    def _fault(self, mark: _Mark, detail: str, where: str, reason: Reason = Reason.BAD_VALUE) -> None:
        self._written.faults.append(Fault(reason, detail, where, *mark))

    def _stop(self, mark: _Mark, detail: str, where: str, reason: Reason = Reason.BAD_VALUE) -> NoReturn:
        self._fault(mark, detail, where, reason)
        raise _Stop


def _inside(where: str, key: str) -> str:
    return key if where == TOP else f"{where}.{key}"


def read(text: str) -> Written:
    """A document as it was written, with what keeps it from being read. Raises nothing."""
    written = Written()
    if len(text) > LARGEST:
        written.faults.append(Fault(Reason.TOO_LARGE, f"has more than {LARGEST} characters", TOP, 1, 1))
        return written
    builder = _Builder(written)
    try:
        for event in _events(text):
            builder.take(event)
        written.whole = True
    except _Stop:
        pass
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).split())
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        written.faults.append(Fault(Reason.BAD_VALUE, f"this is no YAML: {said}", TOP, *place))
    except UnicodeEncodeError as error:  # half of a surrogate pair, which no UTF-8 text holds
        written.faults.append(Fault(Reason.BAD_VALUE, f"this is no text: {error.reason}", TOP))
    return written


def _events(text: str) -> Iterator[yaml.events.Event]:
    found: Iterator[yaml.events.Event] = yaml.parse(text, Loader=_LOADER)
    return found


def checked(text: str) -> Written:
    """A document with everything for which it would be refused, in the order of the text."""
    written = read(text)
    if written.whole:
        written.faults += [written.of(error) for error in problems(written.document)]
    written.faults.sort(key=lambda fault: (fault.line, fault.column))
    return written


def canonical(document: object) -> str:
    """The one JSON of a checked document: the same for every way to write the same."""
    return msgspec.json.encode(document, order="sorted").decode()


def canonical_configuration(event: InteractionReceived) -> str:
    """The checked bundle in an event, as canonical JSON. Raises ``PolicyInvalid`` with the place of what is wrong."""
    facts = event.facts
    if not isinstance(facts, Configuration):
        raise PolicyInvalid(Reason.MISSING_FIELD, "facts have to be a configuration with name and body", "facts")
    written = checked(facts.body)
    if written.faults:
        first, more = written.faults[0], len(written.faults) - 1
        text = f"{first.detail}{f' (and {more} more)' if more else ''}"
        where = (
            f"facts.body, line {first.line}, {first.where[:400]}" if first.line else f"facts.body, {first.where[:400]}"
        )
        # Keys of the document stand in both, and may hold what a header of a dead letter can't.
        raise PolicyInvalid(first.reason, _encodable(text), _encodable(where))
    body = canonical(written.document)
    if len(body) > LARGEST:
        what = f"takes {len(body)} characters as JSON, of {LARGEST}; aliases are written out"
        raise PolicyInvalid(Reason.TOO_LARGE, what, "facts.body")
    return body


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
