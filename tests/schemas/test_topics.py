"""The topics' files: what they promise together, and what is said of one that can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.topics import FOLDER, Topic, TopicInvalid, load, topics

ROOT = Path(__file__).resolve().parents[2]
BY_CUSTOMER = {
    "casework-changelog",
    "interaction-identified",
    "sla-verdict-issued",
    "ticket-changed",
    "timeline-entry-added",
}


COMING = {"consumers/push"}
"""Named in the design and not written yet; take it off this list when it is."""


def limit(name: str) -> int:
    return int(topics()[name].config["max.message.bytes"])


def test_topics_are_those_of_the_hub_in_order() -> None:
    assert list(topics()) == sorted(BY_CUSTOMER | {"interaction-received", "interaction-received-dlq"})
    assert {name for name, topic in topics().items() if topic.partitioned_by == "customer"} == BY_CUSTOMER
    assert {name for name, topic in topics().items() if topic.compacted} == {"casework-changelog", "ticket-changed"}


def test_the_log_that_everything_is_rebuilt_from_is_kept_for_ever() -> None:
    config = topics()["interaction-identified"].kafka_config(1)
    assert (config["cleanup.policy"], config["retention.ms"], config["retention.bytes"]) == ("delete", "-1", "-1")


def test_a_state_written_by_a_former_owner_is_not_compacted_over_the_newer_one() -> None:
    assert int(topics()["casework-changelog"].config["min.compaction.lag.ms"]) >= 3_600_000


def test_what_was_accepted_fits_wherever_it_goes() -> None:
    headers = 64 * 1024
    assert limit("interaction-identified") >= limit("interaction-received") + headers
    assert limit("timeline-entry-added") >= limit("interaction-received")
    largest = max(limit(name) for name in topics() if name != "interaction-received-dlq")
    assert limit("interaction-received-dlq") >= largest + headers


@pytest.mark.parametrize("topic", topics().values(), ids=lambda topic: topic.name)
def test_who_writes_and_reads_is_in_this_repository(topic: Topic) -> None:
    assert topic.written_by
    assert topic.read_by
    for stage in {*topic.written_by, *topic.read_by} - {"third parties"}:
        there = (ROOT / stage).is_dir() or (ROOT / f"{stage}.py").is_file()
        assert there != (stage in COMING), stage


@pytest.mark.parametrize("topic", topics().values(), ids=lambda topic: topic.name)
def test_the_purpose_is_a_sentence(topic: Topic) -> None:
    assert topic.purpose.endswith(".")
    assert len(topic.purpose) > 60


GOOD = (FOLDER / "ticket-changed.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "while parsing"),
        ("", "Expected `object`"),
        (GOOD.replace("partitioned_by: customer", "partitioned_by: luck"), r"Invalid enum value 'luck'"),
        (GOOD.replace("key:", "kye:"), "unknown field `kye`"),
        (GOOD.replace("name: ticket-changed", "name: ticket-altered"), "rename the file or change it"),
        (GOOD.replace("values: [TicketChanged]\n", ""), "values name the records of an avro topic"),
        (GOOD.replace("encoding: avro", "encoding: msgpack"), "values name the records of an avro topic"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ticket-changed.yaml").write_text(text)
    with pytest.raises(TopicInvalid, match=rf"(?s)ticket-changed\.yaml: .*{message}"):
        load(tmp_path)
