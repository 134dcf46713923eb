"""The topics, as they stand in ``topics/*.yaml``: what each is for, what is in it, who writes and reads it.

The partition count, replication and a prefix are a deployment's own and come from the settings; everything else about
a topic is here. Nothing in this module talks to Kafka.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import yaml

FOLDER = Path(__file__).parent / "topics"


class TopicInvalid(Exception):
    """A topic's yaml file can't be used: says which file and what to change."""


class Topic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One topic.

    ``key``: what the key of a record is, in words; ``partitioned_by``: whose records share a partition, in order.
    ``values``: record classes, empty unless ``encoding`` is avro. ``written_by`` and ``read_by``: stages as paths of
    this repository, or "third parties". ``config``: Kafka's own names and values, sizes in bytes, times in ms.
    """

    name: str
    purpose: str
    key: str
    partitioned_by: Literal["conversation", "customer", "nothing"]
    encoding: Literal["avro", "bytes", "msgpack"]
    values: list[str] = []
    written_by: list[str]
    read_by: list[str]
    config: dict[str, str | int | float]

    @property
    def keyed(self) -> bool:
        """Whether order counts within a key: then the partition count can't change once there are records."""
        return self.partitioned_by != "nothing"

    @property
    def compacted(self) -> bool:
        """Whether Kafka keeps the newest record of each key instead of records by their age."""
        return self.config.get("cleanup.policy") == "compact"

    def kafka_config(self, replication: int) -> dict[str, str]:
        """The topic's configuration as Kafka takes it.

        With three replicas and more, a write needs all but one of them to be durable, so that one broker may fail.
        """
        in_sync = {"min.insync.replicas": str(replication - 1)} if replication >= 3 else {}
        return {name: str(value) for name, value in self.config.items()} | in_sync


def load(folder: Path) -> dict[str, Topic]:
    """The topics of a folder by name, in order of name. Raises ``TopicInvalid``."""
    found = {}
    for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem):
        try:
            topic = msgspec.convert(yaml.safe_load(path.read_text()), Topic)
        except (msgspec.ValidationError, yaml.YAMLError) as error:
            raise TopicInvalid(f"{path}: {error}") from error
        if topic.name != path.stem:
            raise TopicInvalid(f"{path}: name is {topic.name!r}; rename the file or change it to {path.stem!r}")
        if (topic.encoding == "avro") != bool(topic.values):
            raise TopicInvalid(f"{path}: values name the records of an avro topic, and only of one")
        found[topic.name] = topic
    return found


@cache
def topics() -> dict[str, Topic]:
    """The hub's topics by name, in order of name."""
    return load(FOLDER)
