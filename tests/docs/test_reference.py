"""Each setting, command, metric, topic, event type, field, route, account option and table stands in the docs, and
nothing there that does not exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

from adapters.contract import Account
from adapters.whatsapp.receive import WhatsApp
from domain.errors import Reason
from domain.joining import Because
from domain.policies import MATCHABLE, METRICS, STATUSES
from domain.policy_reading import KEYS
from domain.ticket_rules import COMMANDS, TRANSITIONS, check_command
from domain.tickets import ANSWERS, ASKS
from hub.console.words import OUTCOMES
from hub.http import policy_reads, reads
from hub.http.app import create_app
from hub.http.doors import doors
from hub.policy.holidays import COUNTRY
from hub.processes import adapters
from projections.postgres import open_pool
from runtime.blobs import FolderBlobs
from runtime.clock import SystemClock
from runtime.publisher import KafkaPublisher, Topics
from runtime.settings import descriptions, load
from schemas import records
from schemas.codec import Codec
from schemas.topics import topics
from schemas.vocabulary import CHANNELS, DIRECTIONS, TYPES
from tests.architecture import tree
from tests.docs import pages, reference
from tests.shared import ROOT

DOCS = {path.name: path.read_text(encoding="utf-8") for path in tree.files("docs/*.md") if path.parent.name == "docs"}
EVERYWHERE = {tree.name(path): path.read_text(encoding="utf-8") for path in tree.files("*.md")}
#: A heading of policies.md to the parts of a bundle whose keys its tables tell.
PARTS = {
    "The parts of a bundle": ("bundle",),
    "A calendar": ("calendar",),
    "A policy": ("policy", "target"),
    "A route": ("route",),
    "An escalation": ("escalation",),
    "A queue": ("queue",),
    "Tickets": ("tickets",),
}
_METRIC = re.compile(r"\bhub_[a-z_]+_(?:total|seconds|open|lag|waiting|keys|records)\b")
_BACKQUOTED = re.compile(r"`([^`]+)`")


def first_column(table: str) -> list[str]:
    """What stands in backquotes in the first column of the tables of a text, in order."""
    cells = (line.split("|")[1] for line in table.splitlines() if line.startswith("| "))
    return [name for cell in cells for name in _BACKQUOTED.findall(cell)]


@pytest.mark.parametrize("page", sorted({page for page, _ in reference.MADE}))
def test_what_is_made_from_the_code_is_up_to_date(page: str) -> None:
    assert reference.renewed(page, DOCS[page]) == DOCS[page], "run: python -m tests.docs.reference"


@pytest.mark.parametrize(("page", "name"), sorted(reference.MADE))
def test_every_block_has_its_place(page: str, name: str) -> None:
    assert DOCS[page].count(f"<!-- made: {name} -->") == 1


def test_a_page_that_is_not_up_to_date_is_found() -> None:
    page = DOCS["settings.md"].replace("`HUB_KAFKA`", "`HUB_CAFKA`")
    assert reference.renewed("settings.md", page) != page


@pytest.mark.parametrize("page", sorted(EVERYWHERE))
def test_no_page_names_what_does_not_exist(page: str) -> None:
    assert unknown_names(EVERYWHERE[page]) == []


def unknown_names(text: str) -> list[str]:
    """The settings, metrics and commands that a text names and that do not exist."""
    known_settings = {f"HUB_{name.upper()}" for name in descriptions()}
    given = set(re.findall(r"\bHUB_[A-Z_]+\b", text)) - known_settings
    given |= set(_METRIC.findall(text)) - set(reference.catalogue())
    commands = [path for path, _ in reference.leaves()]
    beginnings = {" ".join(path.split()[:count]) for path in commands for count in (1, 2, 3)}
    shell = [line for piece in pages.code(text) if piece.language == "sh" for line in piece.text.splitlines()]
    for line in [*pages.spans(text), *shell]:
        words = line.split()
        if words[:1] == ["hub"] and len(words) > 1 and " ".join(words[:2]) not in beginnings:
            given.add(" ".join(words[:2]))
    return sorted(given)


def test_a_name_that_does_not_exist_is_found() -> None:
    text = "`HUB_GONE` `hub_gone_total` `hub dig` `hub dlq list` `HUB_KAFKA` `hub_stage_lag`\n```sh\nhub fly\n```\n"
    assert unknown_names(text) == ["HUB_GONE", "hub dig", "hub fly", "hub_gone_total"]


async def routes(tmp_path: Path) -> set[str]:
    """Every route of the HTTP server, as ``GET /v1/tickets``."""
    settings = load({"HUB_API_TOKEN": "a token", "HUB_POSTGRES": "postgresql://127.0.0.1:1/none"})
    clock, blobs = SystemClock(), FolderBlobs(tmp_path)
    publisher = KafkaPublisher("127.0.0.1:1", Codec(), Topics("a", "b"), blobs, clock, 1.0, OSError)
    taking = doors({"whatsapp": WhatsApp()}, {}, publisher, blobs, clock, settings)
    app = create_app(await open_pool(settings.postgres), settings, clock, taking)
    found = {f"{method} {route.path}" for route in within(app.routes) for method in route.methods or ()}
    return {route for route in found if not route.startswith("HEAD ")}


def within(some: Sequence[BaseRoute]) -> Iterator[Route]:
    """The routes of routers in routers."""
    for route in some:
        inner = getattr(route, "original_router", None)
        if isinstance(inner, APIRouter):
            yield from within(inner.routes)
        elif isinstance(route, Route):
            yield route


async def test_every_route_is_told_and_no_other(tmp_path: Path) -> None:
    told = {span for span in pages.spans(DOCS["http-api.md"]) if re.match(r"(GET|POST|PUT|DELETE) /", span)}
    there = await routes(tmp_path)
    assert len(there) > 15
    assert told == there


def test_every_query_parameter_of_the_reading_api_is_told() -> None:
    for route in within([*reads.router().routes, *policy_reads.router().routes]):
        assert isinstance(route, APIRoute)
        given = {parameter.alias for parameter in route.dependant.query_params}
        told = {span.partition("=")[0] for span in pages.spans(DOCS["http-api.md"])}
        assert given <= told, route.path


def test_the_envelope_is_told_field_by_field() -> None:
    table = pages.section(DOCS["events.md"], "The envelope").partition("| facts |")
    assert first_column(table[0]) == [field.name for field in msgspec.structs.fields(records.InteractionReceived)]
    rows = [line for line in table[2].splitlines() if line.startswith("| `")]
    told = {cells[0]: (cells[1], cells[2:]) for cells in map(_BACKQUOTED.findall, rows)}
    there = {
        cls.__name__: (cls.__struct_config__.tag, [field.name for field in msgspec.structs.fields(cls)])
        for cls in records.Facts.__args__
    }
    assert told == there


def test_channels_and_directions_are_told() -> None:
    lines = [_BACKQUOTED.findall(line) for line in DOCS["events.md"].splitlines() if line.startswith("| `")]
    told = {first: set(rest) for first, *rest in lines}
    assert told["channel"] == CHANNELS
    assert told["direction"] == DIRECTIONS


@pytest.mark.parametrize("page", ["events.md", "sla.md", "policies.md", "channels.md", "http-api.md"])
def test_event_types_that_are_told_exist(page: str) -> None:
    families = {name.partition(".")[0] for name in TYPES}
    named = {span for span in pages.spans(DOCS[page]) if re.fullmatch(r"[a-z_]+\.[a-z_]+", span)}
    assert {name for name in named if name.partition(".")[0] in families} <= set(TYPES)


def test_what_opens_tickets_and_stops_clocks_is_told() -> None:
    section = pages.section(DOCS["sla.md"], "A ticket")
    asks, answers = (set(pages.spans(part)) for part in section.split("- **asks**")[1].split("- **answers**"))
    assert asks == ASKS
    assert answers == ANSWERS
    follows = pages.section(DOCS["events.md"], "The vocabulary").partition("<!-- end -->")[2]
    assert set(pages.spans(follows)) >= ASKS


def _source(module: str) -> str:
    return (ROOT / "domain" / f"{module}.py").read_text(encoding="utf-8")


def test_every_command_is_told_with_an_example_and_every_refusal_with_its_reason() -> None:
    section = pages.section(DOCS["events.md"], "Commands on tickets")
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `") and '"kind"' in line]
    assert {row[0].strip("| `") for row in rows} == COMMANDS
    for kind, facts, _ in rows:
        example = facts.strip("`").replace('"target": "…"', f'"target": "{"0" * 8}-0000-5000-8000-{"0" * 12}"')
        check_command(kind.strip("| `"), msgspec.json.decode(example, type=records.TicketCommand))
    told = set(pages.spans(section.partition("is refused as")[2]))
    refusals = {cell for row in TRANSITIONS.values() for cell in row.values() if isinstance(cell, Reason)}
    raised = re.findall(r"Reason\.([A-Z_]+)", "".join(map(_source, ("merges", "joining", "ticket_rules"))))
    assert {*refusals, *(Reason[name] for name in raised)} <= told


def test_every_reason_to_join_is_told() -> None:
    section = pages.section(DOCS["sla.md"], "A ticket")
    rows = [line.rpartition("| `joined_because`")[2] for line in section.splitlines() if line.startswith("| ")]
    assert set(get_args(Because)) <= {span for row in rows for span in pages.spans(row)}


def test_words_of_policies_are_told() -> None:
    page = DOCS["policies.md"]
    assert set(pages.spans(page)) >= {*METRICS, *STATUSES}
    assert first_column(pages.section(page, "A match")) == list(MATCHABLE)
    assert first_column(pages.section(page, "Holidays by name")) == [*COUNTRY, "ical"]
    for title, parts in PARTS.items():
        told = sorted(first_column(pages.section(page, title)))
        assert told == sorted(key for part in parts for key in KEYS[part]), title


def test_every_outcome_of_a_verdict_is_told() -> None:
    assert set(first_column(pages.section(DOCS["sla.md"], "A verdict"))) == set(OUTCOMES)


def test_every_channel_is_told_with_its_account() -> None:
    text = DOCS["channels.md"]
    for name in adapters():
        assert pages.section(text, f"`{name}`")
    told = set(first_column(text.partition("What every door does")[0]))
    assert told == {field.name for field in msgspec.structs.fields(Account)}


def options_read(*folders: str) -> set[str]:
    """The account options that the code reads: the word in ``options.get("word", …)``."""
    found = set()
    for path in tree.files(*(f"{folder}/*.py" for folder in folders)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="options"), attr="get"), args=[word, *_]):
                    assert isinstance(word, ast.Constant), f"{tree.name(path)}: an option is read by a literal name"
                    found.add(str(word.value))
    return found


def test_every_account_option_is_told_and_no_other() -> None:
    text = DOCS["channels.md"]
    told = {
        name
        for channel in adapters()
        for table in pages.section(text, f"`{channel}`").split("\n\n")
        if table.startswith("| option |")
        for name in first_column(table)
    }
    assert told == options_read("adapters", "hub")


def test_every_reason_of_a_dead_letter_is_told_where_it_can_be_met() -> None:
    told = set(first_column(pages.section(DOCS["operations.md"], "Dead letters")))
    assert told <= {reason.value for reason in Reason}
    events = {"no_contact_point", "unknown_ticket", "unknown_customer", "ticket_closed", "missing_field"}
    doors_ = {"not_json", "not_valid", "not_mail", "too_large", "cut_off"}
    assert events | doors_ | {"not-wire-format", "unknown-schema", "not-avro", "not-valid"} <= told


def test_every_table_that_is_named_exists() -> None:
    made = "\n".join(path.read_text(encoding="utf-8") for path in tree.files("projections/migrations/*.sql"))
    named = re.search(r"\(tables (.*?)\)", DOCS["operations.md"])
    assert named is not None
    for table in _BACKQUOTED.findall(named[1]):
        assert f"CREATE TABLE {table} (" in made


def test_every_topic_has_a_section() -> None:
    for topic in topics().values():
        assert pages.section(DOCS["topics.md"], f"`{topic.name}`")


def test_every_decision_is_in_the_list_of_decisions() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    for path in tree.files("docs/adr/0*.md"):
        assert path.name in pages.links(index)
