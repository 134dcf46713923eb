"""What ``runtime/`` overrides in, or knows of, the inside of its three libraries is still what was read.

The versions are pinned, since none of this is a public promise. When one of these tests fails after an update, read the
place it names again, and say here what it is now; ``make chaos`` then tells whether the engine still holds.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import aiokafka
import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher as AiokafkaFetcher
from aiokafka.consumer.group_coordinator import BaseCoordinator, GroupCoordinator
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from aiokafka.producer.producer import AIOKafkaProducer
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from aiokafka.structs import ConsumerRecord, RecordMetadata
from faust.streams import Stream
from faust.tables.recovery import Recovery
from faust.transport import consumer as upstream
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.queues import FlowControlEvent

from runtime.batches import BatchApp, BatchConsumer, BatchTransport, create_app
from runtime.settings import Settings

VERSIONS = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}

#: What was read, its digest, and what rests on it.
READ: list[tuple[Any, str, str]] = [
    (
        upstream.Consumer.getmany,
        "4b168d84882a",
        "runtime.batches overrides it: what it does when the flow stops or the generation moves",
    ),
    (
        upstream.Consumer._drain_messages,
        "44a2500309e8",
        "it drops what lies below _read_offset, adds gaps, and sets _read_offset itself: see BatchConsumer.getmany",
    ),
    (
        upstream.Consumer._wait_next_records,
        "6218e1969a63",
        "BatchConsumer.getmany takes (records, active partitions) from it, and None when there are none",
    ),
    (
        upstream.Consumer.perform_seek,
        "0e8c130ff4b0",
        "BatchConsumer.getmany calls it when the flow is not active; it sets _read_offset to the NEXT offset",
    ),
    (
        upstream.Consumer.seek,
        "b86a9fe05f95",
        "runtime.worker seeks back after a gap; it sets _read_offset to the NEXT offset",
    ),
    (upstream.Consumer.ack, "5fcf41cf4515", "BatchConsumer.ack replaces it: it must not move any offset"),
    (
        upstream.Consumer._new_offset,
        "1d2c7ea89a7a",
        "BatchConsumer._new_offset replaces it: the offset to commit, None for nothing",
    ),
    (
        upstream.Consumer._filter_tps_with_pending_acks,
        "f6f923977423",
        "complete() puts something into _acked so that it commits",
    ),
    (upstream.Consumer._filter_committable_offsets, "dc5e9baf5d99", "it asks _new_offset, and commits what rises"),
    (upstream.Consumer._should_commit, "5ce941793947", "it lets only rising offsets through"),
    (
        upstream.Consumer.on_partitions_revoked,
        "d04b7ae72c6f",
        "it forgets _acked and _read_offset of what is taken away",
    ),
    (
        upstream.Consumer.track_message,
        "217d7f1399a4",
        "BatchConsumer.ack discards from _unacked_messages what this adds",
    ),
    (
        driver.ConsumerRebalanceListener.on_partitions_assigned,
        "1c1f8406ad36",
        "it sets consumer_generation_id, by which every batch and every commit is judged",
    ),
    (driver.Consumer._to_message, "7c24f6511b2f", "BatchConsumer.getmany makes ConsumerMessage itself, field by field"),
    (
        driver.AIOKafkaConsumerThread._fetch_records,
        "39a2c6c79fc1",
        "it fetches up to max_poll_records of the active partitions only",
    ),
    (
        driver.AIOKafkaConsumerThread._commit,
        "932852ce7a23",
        "a commit of an old generation is refused and not an error",
    ),
    (
        driver.AIOKafkaConsumerThread._create_worker_consumer,
        "c2701bfc3e6f",
        "no auto-commit, read_uncommitted, and the round-robin assignor where there are no tables",
    ),
    (faust.App._new_transport, "42db531312dd", "BatchApp overrides it to bring in the batch transport"),
    (
        faust.App._on_partitions_revoked,
        "d5c895bbe57d",
        "it stops the flow and clears the buffers, and does not cancel a batch that is being worked on",
    ),
    (
        faust.App._on_partitions_assigned,
        "de932b7927db",
        "it pauses what was assigned until tables are ready, then the flow resumes",
    ),
    (
        Conductor._compile_message_handler,
        "9fbc0538097a",
        "it hands a message to the stream and says when a buffer is full",
    ),
    (
        Recovery._resume_streams,
        "d986a6710c1a",
        "it may go on in a generation after its own, so that the flow is resumed twice in one",
    ),
    (FlowControlEvent.resume, "4dcdc1253fd0", "it empties the queues, in the middle of a generation as well"),
    (
        FlowControlEvent.clear,
        "dda5e40d8028",
        "BatchApp.flow_control overrides it to tell the consumer of what is dropped",
    ),
    (Stream._py_aiter, "3a48ee257a65", "it skips what is of another generation, acks what it skipped, and what raised"),
    (AIOKafkaProducer.create_batch, "c4efda4bb7a0", "runtime.appending builds record batches with it"),
    (
        AIOKafkaProducer.send_batch,
        "bf42b0f0c5c0",
        "runtime.appending sends them; the future gives the offset of the first record",
    ),
    (BatchBuilder.append, "657d76f55157", "it returns None when a batch is full, and takes a first record of any size"),
    (
        MessageAccumulator.add_batch,
        "5ed1c5b1367a",
        "batches of one partition are sent in the order in which they were added",
    ),
    (
        Sender._sender_routine,
        "2380dc5e333d",
        "one batch at a time per partition: a later one is never durable without an earlier one",
    ),
    (
        SendProduceReqHandler.handle_response,
        "850323cc8f77",
        "a batch the broker knew already may come back without its offset",
    ),
    (AiokafkaFetcher.fetched_records, "be4348896b9b", "it may skip offsets (markers of transactions), never records"),
    (
        BaseCoordinator._handle_metadata_update,
        "b2832b6d82be",
        "the group's leader deals anew when a topic it did not know appears in its metadata",
    ),
    (GroupCoordinator._on_join_prepare, "4d9524afc0ee", "it revokes everything first: eager rebalancing"),
]


def digest(function: Callable[..., Any]) -> str:
    """Of a function's source text as it is installed: the versions are pinned, so a changed comment counts as well."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


@pytest.mark.parametrize("name", VERSIONS)
def test_the_versions_are_those_that_were_read(name: str) -> None:
    assert version(name) == VERSIONS[name], f"read what stands in READ again in {name} {version(name)}, then pin it"


@pytest.mark.parametrize(("function", "known", "what"), READ, ids=[each[0].__qualname__ for each in READ])
def test_what_was_read_is_what_is_installed(function: Callable[..., Any], known: str, what: str) -> None:
    place = f"{inspect.getsourcefile(function)}: {function.__qualname__}"
    assert digest(function) == known, f"{place} changed; we rely on this: {what}. Read it again"


def test_what_is_overridden_exists_upstream_with_the_same_parameters() -> None:
    for ours, theirs in (
        (BatchConsumer.getmany, driver.Consumer.getmany),
        (BatchConsumer.ack, driver.Consumer.ack),
        (BatchConsumer._new_offset, driver.Consumer._new_offset),
        (BatchApp._new_transport, faust.App._new_transport),
    ):
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), ours
    assert inspect.isasyncgenfunction(driver.Consumer.getmany)
    assert driver.Transport.Consumer is driver.Consumer, "BatchTransport.Consumer takes its place"


def test_a_message_takes_the_fields_that_a_batch_gives_it() -> None:
    names = list(inspect.signature(ConsumerMessage).parameters)
    assert names[:12] == [
        "topic",
        "partition",
        "offset",
        "timestamp",
        "timestamp_type",
        "headers",
        "key",
        "value",
        "checksum",
        "serialized_key_size",
        "serialized_value_size",
        "tp",
    ]
    assert "generation_id" in names


def test_the_app_has_the_batch_transport_and_what_the_consumer_needs_of_it() -> None:
    app = create_app("shape", Settings())
    assert isinstance(app.transport, BatchTransport)
    assert app.consumer_generation_id == 0
    consumer = app.batches
    assert isinstance(consumer, BatchConsumer)
    tp = TP("topic", 0)
    assert consumer._read_offset[tp] is None, "an unknown partition was not read yet"
    assert consumer._committed_offset[tp] is None
    assert consumer.flow_active
    assert app.flow_control.clear.__func__ is not FlowControlEvent.clear, "Faust asks the app for it"
    assert set(consumer._acked) == set()
    consumer.complete(tp, 0, 17)
    assert consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks()) == {tp: 17}
    app.consumer_generation_id = 1
    assert consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks()) == {}, "of a generation ago"


def test_settings_of_the_app_are_those_the_engine_needs() -> None:
    conf = create_app("shape", Settings(session_timeout=10.0)).conf
    assert conf.broker_session_timeout == 10.0
    assert conf.broker_heartbeat_interval * 3 < conf.broker_session_timeout
    assert conf.broker_request_timeout > conf.broker_session_timeout, "Faust refuses it otherwise"
    assert not conf.topic_allow_declare
    assert not conf.web_enabled
    assert not conf.stream_wait_empty
    assert conf.table_standby_replicas == 0 or not create_app("shape", Settings()).tables.changelog_topics


def test_records_and_metadata_have_the_fields_that_stages_read() -> None:
    fields = set(ConsumerRecord.__dataclass_fields__)
    assert {"topic", "partition", "offset", "timestamp", "timestamp_type", "key", "value", "headers"} <= fields
    assert "offset" in RecordMetadata._fields


def test_a_batch_takes_a_first_record_of_any_size_and_headers_come_back() -> None:
    builder = BatchBuilder(100, 0)
    headers = [("source", b"a/0")]
    assert builder.append(timestamp=None, key=b"k", value=b"x" * 1000, headers=headers) is not None
    assert builder.append(timestamp=None, key=b"k", value=b"y", headers=[]) is None
    assert builder.record_count() == 1
    assert aiokafka.__version__ == VERSIONS["aiokafka"]
