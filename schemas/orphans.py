"""Finds what belongs to nothing in this folder: topics, schemas, numbers, accepted schemas and examples.

``find`` takes the folder, so that it can be tried on a broken one. It reads files only and changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from schemas.compatibility import shape
from schemas.topics import Topic, load

_ACCEPTED = re.compile(r"(?P<record>[a-z-]+)\.(?P<number>[0-9]+)")


def file_stem(record: str) -> str:
    """The name of a record's file without ending: ``TicketChanged`` is in ``ticket-changed``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", record).lower()


def find(folder: Path) -> list[str]:
    """A sentence for each thing without its counterpart; empty if all fits together. The record classes are not seen.

    Raises ``TopicInvalid`` when a topic's yaml can't be read.
    """
    topics = load(folder / "topics")
    schemas = {path.stem: json.loads(path.read_text()) for path in sorted((folder / "avro").glob("*.avsc"))}
    numbers = yaml.safe_load((folder / "ids.yaml").read_text())
    return [
        *_of_topics(folder, topics, schemas),
        *_of_schemas(topics, schemas, numbers),
        *_of_numbers(folder, schemas, numbers),
        *_of_examples(folder, topics),
    ]


def _of_topics(folder: Path, topics: dict[str, Topic], schemas: dict[str, Any]) -> Iterator[str]:
    for topic in topics.values():
        for record in topic.values:
            if file_stem(record) not in schemas:
                yield f"topics/{topic.name}.yaml: value {record} has no avro/{file_stem(record)}.avsc"
        examples = [_record(path) for path in sorted((folder / "examples" / topic.name).glob("*.json"))]
        for wanted in _records(topic):
            if wanted not in examples:
                yield f"topics/{topic.name}.yaml: no example of {wanted or 'a record'} in examples/{topic.name}/"


def _of_schemas(topics: dict[str, Topic], schemas: dict[str, Any], numbers: dict[str, int]) -> Iterator[str]:
    used = {record for topic in topics.values() for record in topic.values}
    for stem, schema in schemas.items():
        name = schema.get("name", "")
        if file_stem(name) != stem:
            yield f"avro/{stem}.avsc: holds {name}, which belongs in {file_stem(name)}.avsc"
        if name not in used:
            yield f"avro/{stem}.avsc: {name} is a value of no topic"
        if name not in numbers:
            yield f"avro/{stem}.avsc: {name} has no number in ids.yaml"


def _of_numbers(folder: Path, schemas: dict[str, Any], numbers: dict[str, int]) -> Iterator[str]:
    names = {schema.get("name"): schema for schema in schemas.values()}
    if len(set(numbers.values())) < len(numbers):
        yield "ids.yaml: a number is given twice"
    accepted = {}
    for path in sorted((folder / "accepted").iterdir()):
        parts = _ACCEPTED.fullmatch(path.stem)
        if parts is None or path.suffix != ".avsc":
            yield f"accepted/{path.name}: is not named <record>.<number>.avsc"
            continue
        schema, number = json.loads(path.read_text()), int(parts["number"])
        if file_stem(schema["name"]) != parts["record"] or schema["name"] not in names:
            yield f"accepted/{path.name}: holds {schema['name']}, which is not its name or no schema of avro/"
        if number in accepted:
            yield f"accepted/{path.name}: number {number} stands for two schemas"
        accepted[number] = schema
    for name, number in numbers.items():
        if name not in names:
            yield f"ids.yaml: {name} has no avro/{file_stem(name)}.avsc"
        elif number not in accepted:
            yield f"ids.yaml: {name} has no accepted/{file_stem(name)}.{number}.avsc"
        elif shape(accepted[number]) != shape(names[name]):
            yield f"ids.yaml: {name} changed; give it the next number and add accepted/{file_stem(name)}.<number>.avsc"


def _of_examples(folder: Path, topics: dict[str, Topic]) -> Iterator[str]:
    for path in sorted((folder / "examples").rglob("*")):
        place = path.relative_to(folder)
        topic = topics.get(place.parts[1])
        if topic is None:
            yield f"{place}: belongs to no topic"
        elif path.is_file() and path.suffix != ".json":
            yield f"{place}: an example is a .json file"
        elif path.is_file() and _record(path) not in _records(topic):
            yield f"{place}: {_record(path) or 'a record without name'} is no value of {topic.name}"


def _records(topic: Topic) -> list[str | None]:
    """What the examples of a topic may name: its records, or nothing where they are no Avro."""
    return [*topic.values] or [None]


def _record(path: Path) -> str | None:
    """The record class that an example names; None in a topic without Avro."""
    name = json.loads(path.read_text()).get("record")
    return None if name is None else str(name)
