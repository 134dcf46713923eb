"""quixstreams with the toy fold: ``python -m bench.peers.quix JOB``, in the environment that holds quixstreams.

Its own defaults (RocksDB on disk, a changelog, a commit every five seconds, an idempotent producer with all
acknowledgements): exactly-once or, as it comes, at-least-once; and exactly-once with a commit ten times a second, which
is Kafka Streams' default. The state goes in as bytes, which spares it its JSON.
"""

from __future__ import annotations

from typing import Literal

from quixstreams import Application, State

from bench import toy
from bench.job import Job, done, job_given
from bench.measuring import Stopwatch


def run(job: Job, guarantee: Literal["at-least-once", "exactly-once"], commit_interval: float) -> None:
    """Work through the log, and end when its last checkpoint is committed."""
    app = Application(
        broker_address=job.kafka,
        consumer_group=f"{job.prefix}quixstreams",
        auto_offset_reset="earliest",
        state_dir=job.folder,
        loglevel="WARNING",
        processing_guarantee=guarantee,
        commit_interval=commit_interval,
    )
    source = app.topic(job.source, key_deserializer="bytes", value_deserializer="bytes")
    entries = app.topic(f"{job.prefix}entries", key_serializer="bytes", value_serializer="bytes")
    watch, half, count = Stopwatch(), job.events // 2, 0

    def step(value: bytes, state: State) -> bytes:
        nonlocal count
        watch.start()
        held = state.get_bytes("customer")
        customer = toy.Customer() if held is None else toy.state_of(held)
        entry = toy.fold(customer, toy.read(value))
        count += 1
        if count == half:
            watch.lap(count)
        if entry is None:
            raise ValueError(f"event {count} of the log is repeated, and this log repeats none")
        state.set_bytes("customer", toy.state_bytes(customer))
        return toy.write(entry)

    app.dataframe(source).apply(step, stateful=True).to_topic(entries)
    app.run(count=job.events, collect=False)
    done(watch.stop(job.name, count))


if __name__ == "__main__":
    given = job_given()
    match given.name:
        case "quixstreams":
            run(given, "at-least-once", 5.0)
        case "quixstreams-exactly-once":
            run(given, "exactly-once", 5.0)
        case "quixstreams-exactly-once-prompt":
            run(given, "exactly-once", 0.1)
