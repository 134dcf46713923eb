"""Against Confluent's own serialiser, deserialiser and registry client: they read what we write, and we what they do.

Our client speaks HTTP to a server in this module, which answers from Confluent's mock registry.
"""

from __future__ import annotations

import base64
import copy
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import unquote
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from runtime.registry import Registry, RegistryRefused, RegistryUnavailable, SchemaUnknown, subject_of
from schemas import records
from schemas.codec import Codec, NotDecodable, pinned_ids, schema_of
from schemas.records import InteractionReceived, TimeAdvanced
from schemas.topics import topics
from tests.schemas.examples import Example, examples

CLASSES = {cls.__name__: cls for cls in records.Value.__args__}
ALL = [example for example in examples() if example.record]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Json = Any  # what a JSON document may be


class Server(NamedTuple):
    """``answers``: statuses and bodies to give instead, by path; ``asked``: (method, path, authorization) so far."""

    url: str
    client: SchemaRegistryClient
    answers: dict[str, tuple[int, bytes]]
    asked: list[tuple[str, str, str | None]]


class Handler(BaseHTTPRequestHandler):
    """The two requests of the registry's interface that the hub makes."""

    client: SchemaRegistryClient
    answers: dict[str, tuple[int, bytes]]
    asked: list[tuple[str, str, str | None]]

    def do_POST(self) -> None:
        subject = unquote(self.path.removeprefix("/subjects/").removesuffix("/versions"))
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"] == "application/vnd.schemaregistry.v1+json"
        assert set(told) == {"schema"}
        self._answer(lambda: {"id": self.client.register_schema(subject, Schema(told["schema"], "AVRO"))})

    def do_GET(self) -> None:
        def found() -> Json:
            schema = self.client.get_schema(int(self.path.removeprefix("/schemas/ids/")))
            kind = {} if schema.schema_type == "AVRO" else {"schemaType": schema.schema_type}
            return {"schema": schema.schema_str, **kind}

        self._answer(found)

    def _answer(self, work: Any) -> None:  # Any: a function without arguments
        self.asked.append((self.command, self.path, self.headers["Authorization"]))
        if self.path in self.answers:
            status, body = self.answers[self.path]
        else:
            try:
                status, body = 200, json.dumps(work()).encode()
            except SchemaRegistryError as error:
                told = {"error_code": 40403, "message": error.error_message}
                status, body = error.http_status_code, json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    client = SchemaRegistryClient.new_client({"url": f"mock://{uuid4().hex}"})
    answers: dict[str, tuple[int, bytes]] = {}
    asked: list[tuple[str, str, str | None]] = []
    handler = type("Bound", (Handler,), {"client": client, "answers": answers, "asked": asked})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield Server(f"http://127.0.0.1:{http.server_port}", client, answers, asked)
    http.shutdown()
    thread.join()
    http.server_close()


def record_of(example: Example) -> records.Value:
    found: records.Value = msgspec.convert(example.value, CLASSES[str(example.record)])
    return found


def subject(topic: str, record: str) -> str:
    return subject_of(topics()[topic], record)


def naming(topic: str) -> dict[str, Json]:
    """The subject strategy that Confluent's clients are to be given for a topic of ours."""
    single = len(topics()[topic].values) == 1
    return {"subject.name.strategy.type": "TOPIC" if single else "TOPIC_RECORD"}


def theirs(node: Json) -> Json:
    """What Confluent's deserialiser gives, in our terms: datetimes as microseconds, bytes as in JSON."""
    match node:
        case datetime():
            return (node - EPOCH) // timedelta(microseconds=1)
        case bytes():
            return base64.b64encode(node).decode()
        case dict():
            return {key: theirs(value) for key, value in node.items()}
        case list():
            return [theirs(value) for value in node]
    return node


def full(node: Json, defaults: Json) -> Json:
    """An example's JSON with the defaults written out that their deserialiser fills in."""
    match defaults:
        case {"type": "record"} as record:
            found = {}
            for field in record["fields"]:
                value = node.get(field["name"], field.get("default"))
                found[field["name"]] = None if value is None else full(value, field["type"])
            return found
        case {"type": "array"} as array:
            return [full(value, array["items"]) for value in node]
        case list() as union:
            wanted = str(node.get("kind", "")).replace("_", "") if isinstance(node, dict) else ""
            branches = [branch for branch in union if branch != "null"]
            kinds = {"ticket": "ticketcommand", "customer": "customercontext", "configuration": "configuration"}
            name = kinds.get(wanted, f"{wanted}facts")
            named = [one for one in branches if isinstance(one, dict) and one.get("name", "").lower() == name]
            return full(node, (named or branches)[0])
    return node


@pytest.mark.parametrize("example", ALL, ids=str)
async def test_their_deserialiser_reads_what_we_write(server: Server, example: Example) -> None:
    async with Registry(server.url) as registry:
        codec = await registry.codec(topics())
    read = AvroDeserializer(server.client, conf=naming(example.topic))
    data = codec.encode(record_of(example))
    found = read(data, SerializationContext(example.topic, MessageField.VALUE))
    assert theirs(found) == full(example.value, schema_of(CLASSES[str(example.record)]))


@pytest.mark.parametrize("example", ALL, ids=str)
async def test_we_read_what_their_serialiser_writes(server: Server, example: Example) -> None:
    async with Registry(server.url) as registry:
        codec = await registry.codec(topics())
    record = record_of(example)
    schema = server.client.get_latest_version(subject(example.topic, str(example.record))).schema
    conf = {"auto.register.schemas": False, "use.latest.version": True, **naming(example.topic)}
    write = AvroSerializer(server.client, schema, conf=conf)
    # Their reading of our bytes is the dictionary that a third party would build, union branches named.
    named = AvroDeserializer(server.client, conf=naming(example.topic), return_record_name=True)
    context = SerializationContext(example.topic, MessageField.VALUE)
    data = write(named(codec.encode(record), context), context)
    assert codec.decode(data) == record


async def test_a_third_party_that_registers_nothing_new_needs_no_look_up(server: Server) -> None:
    async with Registry(server.url) as registry:
        codec = await registry.codec(topics())
        asked = len(server.asked)
        await registry.learn(codec, [codec.encode(record_of(example)) for example in ALL])
        assert len(server.asked) == asked


async def test_subjects_are_named_as_confluents_clients_name_them(server: Server) -> None:
    async with Registry(server.url) as registry:
        registered = await registry.register(topics())
        again = await registry.register(topics())
        prefixed = await registry.register(topics(), prefix="test-")
    assert {one.subject for one in registered} == {
        "interaction-received-value",
        "interaction-identified-hub.interaction.InteractionReceived",
        "interaction-identified-hub.interaction.TimeAdvanced",
        "interaction-identified-hub.interaction.ConfigurationPublished",
        "timeline-entry-added-value",
        "ticket-changed-value",
        "sla-verdict-issued-value",
    }
    assert again == registered
    assert {one.subject for one in prefixed} == {f"test-{one.subject}" for one in registered}


async def test_marks_of_personal_fields_and_logical_types_are_in_the_registry(server: Server) -> None:
    async with Registry(server.url) as registry:
        await registry.register(topics())
    for name, topic in topics().items():
        for record in topic.values:
            registered = server.client.get_latest_version(subject(name, record)).schema
            assert json.loads(str(registered.schema_str)) == schema_of(CLASSES[record])
    told = str(server.client.get_latest_version("interaction-received-value").schema.schema_str)
    assert '"hub.personal": true' in told
    assert '"logicalType": "timestamp-micros"' in told


async def test_records_of_a_log_begun_without_registry_stay_readable(server: Server) -> None:
    async with Registry(server.url) as registry:
        codec = await registry.codec(topics())
    for example in ALL:
        record = record_of(example)
        assert codec.decode(Codec().encode(record)) == record
        assert int.from_bytes(codec.encode(record)[1:5], "big") not in pinned_ids().values()


async def test_a_record_with_two_numbers_is_read_with_both(server: Server) -> None:
    # The mock registry numbers per subject, as some servers do; Confluent's gives equal schemas one number.
    async with Registry(server.url) as registry:
        numbers = {one.subject: one.number for one in await registry.register(topics())}
        codec = await registry.codec(topics())
    one = numbers["interaction-received-value"]
    other = numbers["interaction-identified-hub.interaction.InteractionReceived"]
    assert one != other
    record = record_of(next(example for example in ALL if example.topic == "interaction-received"))
    data = codec.encode(record)
    assert int.from_bytes(data[1:5], "big") == one
    assert codec.decode(b"\x00" + other.to_bytes(4, "big") + data[5:]) == record


class TestEvolution:
    """A third party writes with its own version of a schema, through Confluent's serialiser."""

    def event(self, **more: object) -> dict[str, Json]:
        example = next(one for one in ALL if (one.topic, one.name) == ("interaction-received", "survey"))
        plain = {key: value for key, value in example.value.items() if key not in ("facts", "contact_points", "actor")}
        return plain | more

    def schema(self) -> Json:
        return copy.deepcopy(schema_of(InteractionReceived))

    def write(self, server: Server, schema: Json, event: dict[str, Json]) -> bytes:
        write = AvroSerializer(server.client, json.dumps(schema), conf=naming("interaction-received"))
        data = write(event, SerializationContext("interaction-received", MessageField.VALUE))
        assert isinstance(data, bytes)
        return data

    async def test_an_extra_field_and_a_missing_optional_one(self, server: Server) -> None:
        schema = self.schema()
        schema["fields"] = [field for field in schema["fields"] if field["name"] not in ("raw", "language")]
        schema["fields"].insert(0, {"name": "campaign", "type": "string"})
        async with Registry(server.url) as registry:
            codec = await registry.codec(topics())
            data = self.write(server, schema, self.event(campaign="autumn"))
            with pytest.raises(NotDecodable, match="unknown-schema"):
                codec.decode(data)
            await registry.learn(codec, [None, b"", data, data])
            assert codec.decode(data) == InteractionReceived(**self.event())
            assert [path for method, path, _ in server.asked if method == "GET"] == [
                f"/schemas/ids/{int.from_bytes(data[1:5], 'big')}"
            ]

    async def test_what_the_registry_does_not_know_or_is_not_ours_stays_unreadable(self, server: Server) -> None:
        other = {"type": "record", "name": "Order", "fields": [{"name": "number", "type": "string"}]}
        millis = self.schema()
        next(field for field in millis["fields"] if field["name"] == "occurred_at")["type"]["logicalType"] = (
            "timestamp-millis"
        )
        foreign = [
            server.client.register_schema("orders-value", Schema(json.dumps(other), "AVRO")),
            server.client.register_schema("names-value", Schema('"string"', "AVRO")),
            server.client.register_schema("protos-value", Schema('syntax = "proto3";', "PROTOBUF")),
            server.client.register_schema("millis-value", Schema(json.dumps(millis), "AVRO")),
        ]
        async with Registry(server.url) as registry:
            codec = await registry.codec(topics())
            unreadable = [b"\x00" + number.to_bytes(4, "big") + b"x" for number in (*foreign, 4711, 2**31, 2**32 - 1)]
            await registry.learn(codec, unreadable)
            for value in unreadable:
                with pytest.raises(NotDecodable, match="unknown-schema"):
                    codec.decode(value)
        # A registry's numbers end at 2**31; asking for more would be answered as by a wrong path.
        assert not [path for _, path, _ in server.asked if path.endswith((str(2**31), str(2**32 - 1)))]


class TestTrouble:
    """What is unknown because of the registry's state is an error, never a dead letter."""

    VALUE = b"\x00\x00\x00\x00\x2ax"

    @pytest.mark.parametrize("status", [500, 503, 429, 408])
    async def test_a_registry_that_can_not_now_is_unavailable(self, server: Server, status: int) -> None:
        server.answers["/schemas/ids/42"] = (status, b"not now")
        async with Registry(server.url) as registry:
            with pytest.raises(RegistryUnavailable, match=rf"/schemas/ids/42: {status} not now"):
                await registry.learn(Codec(), [self.VALUE])

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (401, b'{"error_code": 401, "message": "Unauthorized"}'),
            (404, b"<html>no such page</html>"),
            (404, b'{"error": "wrong path"}'),
            (200, b"<html>please sign in</html>"),
            (302, b""),
        ],
    )
    async def test_a_wrong_password_or_path_is_refused_and_not_taken_for_an_unknown_schema(
        self, server: Server, status: int, body: bytes
    ) -> None:
        server.answers["/schemas/ids/42"] = (status, body)
        async with Registry(server.url) as registry:
            with pytest.raises(RegistryRefused) as told:
                await registry.learn(Codec(), [self.VALUE])
            assert not isinstance(told.value, SchemaUnknown)

    async def test_a_registry_that_is_not_there_is_unavailable_and_its_password_is_not_told(self) -> None:
        async with Registry("http://hub:secret-word@127.0.0.1:9/") as registry:
            with pytest.raises(RegistryUnavailable, match="is HUB_REGISTRY right") as told:
                await registry.learn(Codec(), [self.VALUE])
        assert "secret-word" not in str(told.value)

    async def test_user_and_password_are_sent(self, server: Server) -> None:
        async with Registry(server.url.replace("http://", "http://hub:secret-word@")) as registry:
            await registry.register(topics())
        assert {authorization for _, _, authorization in server.asked} == {
            "Basic " + base64.b64encode(b"hub:secret-word").decode()
        }

    async def test_a_base_address_with_a_path_is_kept(self, server: Server) -> None:
        told = json.dumps({"schema": json.dumps(schema_of(TimeAdvanced))})
        server.answers["/registry/v1/schemas/ids/1"] = (200, told.encode())
        async with Registry(f"{server.url}/registry/v1/") as registry:
            assert await registry.schema(1) == schema_of(TimeAdvanced)

    async def test_an_incompatible_subject_is_refused_with_the_registrys_reason(self, server: Server) -> None:
        path = "/subjects/interaction-received-value/versions"
        server.answers[path] = (409, b'{"error_code": 409, "message": "incompatible with an earlier schema"}')
        async with Registry(server.url) as registry:
            with pytest.raises(RegistryRefused, match=r"interaction-received-value/.*incompatible with an earlier"):
                await registry.register(topics())
