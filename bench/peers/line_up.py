"""Who is compared, how each is started as a process of its own, and what is missing where one can't be."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from bench import toy
from bench.job import Job
from bench.measuring import Run
from bench.servers import Servers, create_topics
from deploy import native
from hub.local.kafka import java
from hub.local.process import StackError
from hub.local.state import default_folder

ROOT = Path(__file__).resolve().parents[2]
OWN = default_folder()
SET_UP = "is not installed: run deploy/local/setup bench"
WRITTEN = ("entries", "tickets", "verdicts", "dlq", "changelog")
_LONGEST = 1800.0


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the compared. ``words``: what it is called in a table. ``absent``: why it can't be started, or empty.
    ``native``: with the hub's rules and codec compiled, as in its image (``deploy/native.py``)."""

    name: str
    words: str
    command: Callable[[Job], Sequence[str]]
    absent: Callable[[], str]
    native: bool = False


def _here(job: Job) -> Sequence[str]:
    return [sys.executable, "-m", "bench.contenders", _json(job)]


def _quix(job: Job) -> Sequence[str]:
    return [str(_QUIX_PYTHON), "-m", "bench.peers.quix", _json(job)]


_QUIX_PYTHON = OWN / "bench-venv" / "bin" / "python"
_STREAMS = (OWN / "kafka-streams-libs", OWN / "kafka-streams-classes")


def _streams(guarantee: str, store: str) -> Callable[[Job], Sequence[str]]:
    def command(job: Job) -> Sequence[str]:
        libs, classes = _STREAMS
        return [
            java(), "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{classes}:{libs}/*", "bench.Peer",
            job.kafka, job.source, job.prefix, str(job.events), job.folder,
            str(toy.SCHEMAS / "event.avsc"), str(toy.SCHEMAS / "entry.avsc"), guarantee, store,
        ]  # fmt: skip

    return command


def _json(job: Job) -> str:
    return msgspec.json.encode(job).decode()


def _present() -> str:
    return ""


def _no_native() -> str:
    return (
        ""
        if native.is_current()
        else "there is no native form of the sources as they are: run deploy/local/setup bench"
    )


def _no_quix() -> str:
    return "" if _QUIX_PYTHON.exists() else f"quixstreams {SET_UP}"


def _no_streams() -> str:
    if not all((path / ".complete").exists() for path in _STREAMS):
        return f"Kafka Streams {SET_UP}"
    try:
        java()
    except StackError as error:
        return str(error)
    return ""


STOCK, HUB, PLAIN = "stock-faust", "hub", "plain-aiokafka"
CASEWORK, INTERPRETED = "casework", "casework-interpreted"
QUIX, QUIX_EXACTLY, QUIX_PROMPT = "quixstreams", "quixstreams-exactly-once", "quixstreams-exactly-once-prompt"
STREAMS, STREAMS_EXACTLY = "kafka-streams", "kafka-streams-exactly-once"
LINE_UP: dict[str, Contender] = {
    each.name: each
    for each in (
        Contender(HUB, "the hub's engine", _here, _present),
        Contender(STOCK, "stock Faust", _here, _present),
        Contender(QUIX_PROMPT, "quixstreams, exactly-once, commits each 0.1 s", _quix, _no_quix),
        Contender(QUIX_EXACTLY, "quixstreams, exactly-once, commits each 5 s", _quix, _no_quix),
        Contender(QUIX, "quixstreams, at-least-once, commits each 5 s", _quix, _no_quix),
        Contender(
            STREAMS_EXACTLY,
            "Kafka Streams, exactly_once_v2, commits each 0.1 s",
            _streams("exactly_once_v2", "memory"),
            _no_streams,
        ),
        Contender(
            STREAMS, "Kafka Streams, at_least_once, commits each 30 s", _streams("at_least_once", "memory"), _no_streams
        ),
        Contender(PLAIN, "plain aiokafka loop", _here, _present),
        Contender(CASEWORK, "the hub's own casework", _here, _no_native, native=True),
        Contender(INTERPRETED, "the same, not compiled", _here, _present),
    )
}


async def run(on: Servers, contender: Contender, job: Job) -> Run:
    """Start a contender on a log and wait for what it tells. Raises ``RuntimeError`` with its log when it fails."""
    await create_topics(on.kafka, [job.prefix + name for name in WRITTEN], job.partitions, {})
    log = on.folder / f"{contender.name}.log"
    paths = [str(native.HOME), str(ROOT)] if contender.native else [str(ROOT)]
    with log.open("ab") as errors, TemporaryDirectory(dir=on.folder) as folder:
        process = await asyncio.create_subprocess_exec(
            *contender.command(msgspec.structs.replace(job, folder=folder)),
            cwd=folder, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdout=asyncio.subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        try:
            told, _ = await asyncio.wait_for(process.communicate(), _LONGEST)
        except BaseException:
            process.kill()
            await process.wait()
            raise
    lines = told.splitlines()
    if process.returncode or not lines:
        tail = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(
            f"{contender.name} ended with {process.returncode} and no result; its log ends with:\n{tail}"
        )
    return msgspec.structs.replace(msgspec.json.decode(lines[-1], type=Run), contender=contender.name)
