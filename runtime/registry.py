"""The hub's schemas in a schema registry: any server that speaks Confluent's REST interface, and only where one is set.

Subjects are named as Confluent's clients name them: ``<topic>-value`` for a topic of one record (TopicNameStrategy),
``<topic>-<full record name>`` for one of several (TopicRecordNameStrategy). The hub sets no compatibility level: its
own schemas are checked before they are released, and whether others may change a subject is the registry's to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import NamedTuple, Self, cast
from urllib.parse import quote

import httpx

from schemas import records
from schemas.codec import NAMESPACE, Codec, NotDecodable, schema_of
from schemas.topics import Topic

TIMEOUT = 10.0
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_LARGEST = 2**31 - 1  # registries number in a signed 32-bit integer, and can't be asked for more
_CLASSES = {cls.__name__: cls for cls in records.Value.__args__}


class RegistryUnavailable(Exception):
    """The registry does not answer, or says that it can't now; trying again later may help."""


class RegistryRefused(Exception):
    """The registry answered, and does not do what was asked. Its text says which request, and the registry's reason."""


class SchemaUnknown(RegistryRefused):
    """The registry has no schema in Avro under this number."""


class Registered(NamedTuple):
    """A schema of ours in the registry. ``record``: its class's name; ``number``: what records carry on the wire."""

    subject: str
    record: str
    number: int


def subject_of(topic: Topic, record: str, prefix: str = "") -> str:
    """The subject of a record class in a topic."""
    single = len(topic.values) == 1
    return f"{prefix}{topic.name}-value" if single else f"{prefix}{topic.name}-{NAMESPACE}.{record}"


class Registry:
    """A client of one registry. Use it as an async context manager, or ``close`` it.

    ``url``: base address; a user and password in it are sent as basic authentication. ``timeout``: seconds a request
    may take.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        address = httpx.URL(url)
        self._shown = str(address.copy_with(userinfo=b"")).rstrip("/")
        self._client = httpx.AsyncClient(base_url=address, timeout=timeout, headers={"Accept": _MEDIA_TYPE})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def register(self, topics: Mapping[str, Topic], prefix: str = "") -> list[Registered]:
        """Put the schema of every record of every topic under its subject, and return the numbers they have.

        Registering again changes nothing and gives the same numbers. Raises ``RegistryRefused`` when the registry holds
        an incompatible schema, and ``RegistryUnavailable``.
        """
        found = []
        for topic in topics.values():
            for record in topic.values:
                subject = subject_of(topic, record, prefix)
                schema = json.dumps(schema_of(_CLASSES[record]), ensure_ascii=False)
                body = json.dumps({"schema": schema}).encode()
                answer = await self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", body)
                number = answer.get("id")
                if not isinstance(number, int):
                    raise RegistryRefused(f"{self._shown}: no number for subject {subject} in {str(answer)[:200]}")
                found.append(Registered(subject, record, number))
        return found

    async def codec(self, topics: Mapping[str, Topic], prefix: str = "") -> Codec:
        """Register, and return a codec that writes the registry's numbers.

        Most registries give equal schemas one number. Where a record of several topics has several, it is written with
        that of the topic with the fewest records, and read with each.
        """
        fewest_first = dict(sorted(topics.items(), key=lambda item: len(item[1].values)))
        registered = await self.register(fewest_first, prefix)
        codec = Codec({one.record: one.number for one in reversed(registered)})
        for one in registered:
            if not codec.knows(one.number):
                codec.learn(one.number, schema_of(_CLASSES[one.record]))
        return codec

    async def learn(self, codec: Codec, values: Iterable[bytes | None]) -> None:
        """Make a batch of values decodable, as far as the registry knows their writers' schemas.

        What it does not know, or what is no record of ours, is left for ``decode`` to refuse. Raises
        ``RegistryUnavailable`` or ``RegistryRefused`` (a wrong password, say) where it can't be found out: then none of
        the values may be given up.
        """
        numbers = {int.from_bytes(value[1:5], "big") for value in values if value and len(value) >= 5 and value[0] == 0}
        for number in sorted(numbers):
            if codec.knows(number) or number > _LARGEST:
                continue
            try:
                codec.learn(number, await self.schema(number))
            except (SchemaUnknown, NotDecodable):
                continue

    async def schema(self, number: int) -> dict[str, object]:
        """A writer's record schema by its number, as parsed JSON. Raises ``SchemaUnknown`` where there is none."""
        answer = await self._ask("GET", f"/schemas/ids/{number}")
        if answer.get("schemaType", "AVRO") != "AVRO":
            raise SchemaUnknown(f"{self._shown}: schema {number} is {answer['schemaType']}, not Avro")
        found = _object(str(answer.get("schema")))
        if found is None:
            raise SchemaUnknown(f"{self._shown}: schema {number} is no Avro record: {str(answer)[:200]}")
        return found

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, object]:
        place = f"{method} {self._shown}{path}"
        try:
            headers = {"Content-Type": _MEDIA_TYPE} if body is not None else {}
            response = await self._client.request(method, path, content=body, headers=headers)
        except httpx.RequestError as error:
            raise RegistryUnavailable(f"{place}: {error!r}; is HUB_REGISTRY right, and the registry up?") from error
        if response.status_code >= 500 or response.status_code in (408, 429):
            raise RegistryUnavailable(f"{place}: {response.status_code} {response.text[:500]}")
        answer = _object(response.text)
        if response.status_code == 404 and str((answer or {}).get("error_code")).startswith("404"):
            raise SchemaUnknown(f"{place}: {response.text[:500]}")  # the registry's own answer, not a wrong path's
        if response.status_code != 200 or answer is None:
            raise RegistryRefused(f"{place}: {response.status_code} {response.text[:500]}")
        return answer


def _object(text: str) -> dict[str, object] | None:
    """A JSON object, or None."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None
