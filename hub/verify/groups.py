"""What Kafka knows of consumer groups: who is in one, and where it stands.

Asks until Kafka knows: a coordinator that was just elected, or is still loading, refuses or leaves parts out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

PATIENCE = 60.0
T = TypeVar("T")


async def members(kafka: str, group: str) -> list[str]:
    """The members of a group, as client id and address."""

    async def ask(admin: AIOKafkaAdminClient) -> list[str]:
        # One group at a time: of several, aiokafka 0.14.0 reads the second in the wrong place (it asks for version 3
        # and reads version 2, which ends four bytes earlier).
        [answer] = await admin.describe_consumer_groups([group])
        code, _, _, _, _, joined, *_ = answer.groups[0]
        if code:
            raise for_code(code)(f"group {group}")
        return sorted(f"{member[1]} on {member[2].lstrip('/')}" for member in joined)

    return await _patiently(kafka, ask)


async def stands(kafka: str, group: str, topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """The offset that a group has committed of each partition of a topic; 0 where there is none."""
    wanted = [TopicPartition(topic, number) for number in partitions]

    async def ask(admin: AIOKafkaAdminClient) -> dict[int, int] | None:
        found = await admin.list_consumer_group_offsets(group, partitions=wanted)
        return {tp.partition: max(int(found[tp].offset), 0) for tp in wanted} if found.keys() >= set(wanted) else None

    return await _patiently(kafka, ask)


async def _patiently(kafka: str, ask: Callable[[AIOKafkaAdminClient], Awaitable[T | None]]) -> T:
    """Ask until there is an answer. Raises ``TimeoutError``, or what Kafka says when asking again is no use."""
    async with asyncio.timeout(PATIENCE):
        while True:
            admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
            try:
                await admin.start()
                answer = await ask(admin)
                if answer is not None:
                    return answer
            except KafkaError as error:
                if not error.retriable:
                    raise
            finally:
                await admin.close()
            await asyncio.sleep(0.2)
