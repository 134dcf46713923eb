"""The examples of the docs do what is said of them: policies load, events are taken, records are read."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from adapters.cloudevents.receive import STRUCTURED, CloudEvents
from adapters.contract import Account, Delivery
from domain.policies import Attributes, QueueTerms
from domain.policy_checks import problems
from domain.policy_reading import read_bundle
from hub import accounts
from hub.processes import adapters
from runtime.blobs import FolderBlobs
from schemas.codec import Codec
from schemas.records import InteractionReceived, TimelineEntryAdded
from streams.identity import check_event
from tests.docs import pages
from tests.shared import ROOT

HOUR = 3600 * 1_000_000


def examples(page: str, language: str) -> list[str]:
    """The pieces of code of a page in a language."""
    found = pages.code((ROOT / "docs" / page).read_text(encoding="utf-8"))
    return [piece.text for piece in found if piece.language == language]


def test_the_policy_is_one() -> None:
    text = examples("policies.md", "yaml")[0]
    bundle = read_bundle(yaml.safe_load(text), version=1)
    vendor = bundle.policy_for(Attributes("default", "email", "normal", organisation="vendor-a"))
    other = bundle.policy_for(Attributes("default", "voice", "low", organisation="own"))
    assert vendor is not None
    assert other is not None
    assert vendor.targets["first_response"].durations["normal"] == 4 * HOUR
    assert vendor.targets["resolution"].pauses == {"pending", "on_hold"}
    assert "low" not in vendor.targets["resolution"].durations
    assert other.boundary == "close"
    assert other.targets["first_response"].durations["low"] == 1.5 * HOUR
    route = bundle.route_for(Attributes("default", "chat", "normal"))
    assert route is not None
    assert route.team == "first-line"


def test_the_terms_of_queues_are_terms() -> None:
    (text,) = examples("figures.md", "yaml")
    document = {"name": "standard", **yaml.safe_load(text)}
    assert problems(document) == []
    bundle = read_bundle(document, version=1)
    assert bundle.terms_for("shipping") == QueueTerms("shipping"), "the usual terms, written out"
    assert bundle.terms_for("billing") == QueueTerms("billing", 30 * 1_000_000, 10 * 1_000_000, "sl_strict")


def test_the_accounts_can_be_used(tmp_path: Path) -> None:
    (text,) = examples("channels.md", "yaml")
    file = tmp_path / "accounts.yaml"
    file.write_text(text, encoding="utf-8")
    assert set(accounts.load(str(file), adapters())) == set(adapters())


def test_the_cloud_events_are_taken(tmp_path: Path) -> None:
    texts = examples("events.md", "json")
    assert len(texts) == 2
    for text in texts:
        delivery = Delivery(text.encode(), 1_800_000_000_000_000, media_type=STRUCTURED)
        (event,) = CloudEvents().read(delivery, Account("default", "events"), FolderBlobs(tmp_path))
        check_event(event)
        assert event.type == json.loads(text)["type"]


class _Kafka(types.ModuleType):
    """Stands for the package confluent_kafka, and keeps what is produced."""

    KafkaException = RuntimeError

    def __init__(self, records: list[bytes]) -> None:
        super().__init__("confluent_kafka")
        self.produced: list[tuple[str, str, bytes]] = []
        kafka = self

        class Message:
            def __init__(self, value: bytes) -> None:
                self.value: Callable[[], bytes] = lambda: value
                self.error: Callable[[], None] = lambda: None

        class Consumer:
            def __init__(self, options: dict[str, object]) -> None:
                assert "group.id" in options

            def subscribe(self, topics: list[str]) -> None:
                assert topics == ["timeline-entry-added"]

            def poll(self, _seconds: float) -> Message:
                if not records:
                    raise KeyboardInterrupt
                return Message(records.pop(0))

            def commit(self, message: Message) -> None:
                assert message.value()

        class Producer:
            def __init__(self, options: dict[str, object]) -> None:
                assert "bootstrap.servers" in options

            def produce(self, topic: str, *, key: str, value: bytes) -> None:
                kafka.produced.append((topic, key, value))

            def flush(self) -> None:
                return None

        self.Consumer, self.Producer = Consumer, Producer


def test_the_published_record_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = examples("events.md", "python")
    kafka = _Kafka([])
    monkeypatch.setitem(sys.modules, "confluent_kafka", kafka)
    monkeypatch.chdir(ROOT)
    exec(compile(text, "docs/events.md", "exec"), {})
    ((topic, key, value),) = kafka.produced
    event = Codec().decode(value)
    assert isinstance(event, InteractionReceived)
    check_event(event)
    assert (topic, key) == ("interaction-received", event.conversation)


def test_the_subscriber_reads_entries(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = examples("topics.md", "python")
    id_ = "eae80039-72f2-5db3-8900-2fc5b019a58e"
    entry = TimelineEntryAdded(
        id_, id_, "default", id_, 1, "email.received", "email", "inbound", 1, 2, "c", "email/a", text="Where is it?"
    )
    monkeypatch.setitem(sys.modules, "confluent_kafka", _Kafka([Codec().encode(entry)]))
    monkeypatch.chdir(ROOT)
    with pytest.raises(KeyboardInterrupt):
        exec(compile(text, "docs/topics.md", "exec"), {})
    assert "email.received Where is it?" in capsys.readouterr().out
