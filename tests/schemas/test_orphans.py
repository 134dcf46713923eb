"""Nothing in ``schemas`` stands alone, and the finder that says so finds each kind of orphan."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import schemas
from schemas import records
from schemas.codec import pinned_ids
from schemas.orphans import find

FOLDER = Path(schemas.__file__).parent


def test_nothing_stands_alone() -> None:
    assert find(FOLDER) == []


def test_every_number_has_a_record_class_and_the_other_way_round() -> None:
    assert set(pinned_ids()) == {cls.__name__ for cls in records.Value.__args__}


def remove(place: str) -> Callable[[Path], None]:
    return lambda folder: (folder / place).unlink()


def write(place: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text(text)

    return change


def replace(place: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / place).read_text()
        assert old in text
        (folder / place).write_text(text.replace(old, new))

    return change


def rename(place: str, name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / place).rename((folder / place).with_name(name))

    return change


TIME = "accepted/time-advanced.2000000002.avsc"
TOPIC = (FOLDER / "topics" / "sla-verdict-issued.yaml").read_text()
STRAY = json.dumps({"type": "record", "name": "Stray", "namespace": "hub.interaction", "fields": []})
BROKEN: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "a topic without yaml": (
        remove("topics/ticket-changed.yaml"),
        [
            "avro/ticket-changed.avsc: TicketChanged is a value of no topic",
            "examples/ticket-changed: belongs to no topic",
            "examples/ticket-changed/assigned.json: belongs to no topic",
            "examples/ticket-changed/opened.json: belongs to no topic",
        ],
    ),
    "a topic without schema": (
        remove("avro/ticket-changed.avsc"),
        [
            "topics/ticket-changed.yaml: value TicketChanged has no avro/ticket-changed.avsc",
            "accepted/ticket-changed.2000000005.avsc: holds TicketChanged, which is not its name or no schema of avro/",
            "accepted/ticket-changed.2000000009.avsc: holds TicketChanged, which is not its name or no schema of avro/",
            "ids.yaml: TicketChanged has no avro/ticket-changed.avsc",
        ],
    ),
    "a topic without example": (
        lambda folder: shutil.rmtree(folder / "examples" / "ticket-changed"),
        ["topics/ticket-changed.yaml: no example of TicketChanged in examples/ticket-changed/"],
    ),
    "one record of a topic without example": (
        remove("examples/interaction-identified/time.json"),
        ["topics/interaction-identified.yaml: no example of TimeAdvanced in examples/interaction-identified/"],
    ),
    "a topic without Avro and without example": (
        lambda folder: shutil.rmtree(folder / "examples" / "casework-changelog"),
        ["topics/casework-changelog.yaml: no example of a record in examples/casework-changelog/"],
    ),
    "a schema of no topic": (
        write("avro/stray.avsc", STRAY),
        ["avro/stray.avsc: Stray is a value of no topic", "avro/stray.avsc: Stray has no number in ids.yaml"],
    ),
    "a schema under another name": (
        rename("avro/time-advanced.avsc", "time-passed.avsc"),
        [
            "topics/interaction-identified.yaml: value TimeAdvanced has no avro/time-advanced.avsc",
            "avro/time-passed.avsc: holds TimeAdvanced, which belongs in time-advanced.avsc",
        ],
    ),
    "an example of no topic": (
        write("examples/ticket-altered/x.json", "{}"),
        ["examples/ticket-altered: belongs to no topic", "examples/ticket-altered/x.json: belongs to no topic"],
    ),
    "an example of another record": (
        write("examples/ticket-changed/x.json", '{"record": "TimeAdvanced"}'),
        ["examples/ticket-changed/x.json: TimeAdvanced is no value of ticket-changed"],
    ),
    "an example that is no json": (
        write("examples/ticket-changed/x.txt", "{}"),
        ["examples/ticket-changed/x.txt: an example is a .json file"],
    ),
    "a number without record": (
        replace("ids.yaml", "TimeAdvanced:", "TimePassed:"),
        [
            "avro/time-advanced.avsc: TimeAdvanced has no number in ids.yaml",
            "ids.yaml: TimePassed has no avro/time-passed.avsc",
        ],
    ),
    "a number given twice": (
        replace("ids.yaml", "2000000002", "2000000003"),
        [
            "ids.yaml: a number is given twice",
            "ids.yaml: TimeAdvanced changed; give it the next number and add accepted/time-advanced.<number>.avsc",
        ],
    ),
    "a number that was never accepted": (
        remove(TIME),
        ["ids.yaml: TimeAdvanced has no accepted/time-advanced.2000000002.avsc"],
    ),
    "a schema changed under its number": (
        replace("avro/time-advanced.avsc", '"name": "now"', '"name": "instant"'),
        ["ids.yaml: TimeAdvanced changed; give it the next number and add accepted/time-advanced.<number>.avsc"],
    ),
    "an accepted schema under a strange name": (
        rename(TIME, "time-advanced.avsc"),
        [
            "accepted/time-advanced.avsc: is not named <record>.<number>.avsc",
            "ids.yaml: TimeAdvanced has no accepted/time-advanced.2000000002.avsc",
        ],
    ),
    "two accepted schemas with one number": (
        write("accepted/ticket-changed.2000000002.avsc", (FOLDER / "avro" / "ticket-changed.avsc").read_text()),
        ["accepted/time-advanced.2000000002.avsc: number 2000000002 stands for two schemas"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_finder_finds(name: str, tmp_path: Path) -> None:
    for part in ("topics", "avro", "accepted", "examples"):
        shutil.copytree(FOLDER / part, tmp_path / part)
    shutil.copy(FOLDER / "ids.yaml", tmp_path)
    change, expected = BROKEN[name]
    change(tmp_path)
    assert find(tmp_path) == expected
