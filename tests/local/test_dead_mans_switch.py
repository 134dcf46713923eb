"""If nothing judges clocks, on-call hears of it within a minute; and if Prometheus is gone, the heartbeat stops.

Real Prometheus and Alertmanager with the files of ``deploy/prometheus``, their intervals included; only addresses are
put in. The casework worker is a process of its own, and is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import NamedTuple
from urllib.request import urlopen

import pytest
import yaml
from rich.console import Console

from hub.local.alertmanager import Alertmanager, find_alertmanager
from hub.local.process import StackError, free_ports, wait_until
from hub.local.prometheus import Prometheus, find_prometheus
from hub.operations import topics_apply
from runtime.settings import Settings
from tests.shared import ROOT

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]
DEPLOY = ROOT / "deploy" / "prometheus"


class Heard(NamedTuple):
    """What a receiver was told: when (monotonic), at which path, and of which alerts."""

    at: float
    path: str
    alerts: frozenset[str]


class Receiver:
    """Takes what Alertmanager posts."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                firing = {one["labels"]["alertname"] for one in body["alerts"] if one["status"] == "firing"}
                heard.append(Heard(time.monotonic(), self.path, frozenset(firing)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = HTTPServer(("127.0.0.1", free_ports(1)[0]), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def told(self, alert: str, path: str, since: float) -> list[Heard]:
        """The calls at ``path`` after ``since`` that named the alert."""
        return [each for each in self.heard if each.at >= since and each.path == path and alert in each.alerts]

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class Shipped(Alertmanager):
    """Alertmanager with the shipped routes, which go to ``webhook_url``."""

    def _configuration(self) -> dict[str, object]:
        text = (DEPLOY / "alertmanager.yaml").read_text()
        found: dict[str, object] = yaml.safe_load(text.replace("http://127.0.0.1:8099", self.webhook_url))
        return found


def until(reached: Callable[[], bool], what: str, log: Path, seconds: float) -> None:
    """Wait until it is so."""
    wait_until(reached, None, what=what, log=log, timeout=seconds)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def worker(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A casework worker and the port of its metrics."""
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    assert asyncio.run(topics_apply(settings, Console(quiet=True))) == 0
    (port,) = free_ports(1)
    given = {
        "HUB_KAFKA": kafka, "HUB_TOPIC_PREFIX": topic_prefix, "HUB_PARTITIONS": "2", "HUB_METRICS_PORT": str(port),
    }  # fmt: skip
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hub", "worker", "casework"], env=os.environ | given, stdout=log, stderr=log
        )
    yield process, port
    process.kill()
    process.wait()


def program(found: Path | None, name: str) -> Path:
    """What is needed to run a peer."""
    if found is None:
        raise StackError(f"{name} is not here; run deploy/local/setup test, which brings it or says how")
    return found


def test_on_call_hears_within_a_minute_that_nobody_judges_and_the_heartbeat_stops_with_prometheus(
    worker: tuple[subprocess.Popen[bytes], int], receiver: Receiver, tmp_path: Path
) -> None:
    process, port = worker
    alertmanager = Shipped(tmp_path / "am", program(find_alertmanager(), "Alertmanager"), receiver.url)
    alertmanager.start()
    shipped = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    assert (shipped["global"]["scrape_interval"], shipped["global"]["evaluation_interval"]) == ("5s", "5s")
    shipped["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{port}"]
    shipped["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{alertmanager.port}"]
    prometheus = Prometheus(tmp_path / "prom", program(find_prometheus(), "Prometheus"), shipped, DEPLOY / "hub.yaml")
    prometheus.start()
    try:
        began = time.monotonic()
        until(lambda: judged(prometheus) == 2, "both partitions judged", tmp_path / "worker.log", 60)
        until(lambda: len(receiver.told("Watchdog", "/heartbeat", began)) > 1, "heartbeats", alertmanager.log, 40)
        assert not receiver.told("HubClocksNotJudged", "/on-call", began)

        process.kill()
        killed = time.monotonic()
        until(lambda: bool(receiver.told("HubClocksNotJudged", "/on-call", killed)), "alert", prometheus.log, 70)
        heard = receiver.told("HubClocksNotJudged", "/on-call", killed)[0].at - killed
        assert heard < 60, f"{heard:.0f} s after the kill"
        beats = [each.at for each in receiver.told("Watchdog", "/heartbeat", began)]
        assert max(after - before for before, after in pairwise(beats)) < 15

        prometheus.kill()
        gone = time.monotonic()
        until(lambda: not known(alertmanager, "Watchdog"), "no Watchdog", alertmanager.log, 30)
        late = receiver.told("Watchdog", "/heartbeat", gone)
        assert all(each.at - gone < 30 for each in late), "30 s of silence after that, and on-call is called"
    finally:
        prometheus.stop()
        alertmanager.stop()


def judged(prometheus: Prometheus) -> int:
    """Of how many partitions Prometheus has the word of a worker."""
    with urlopen(f"{prometheus.url}/api/v1/query?query=hub_clocks_judged_timestamp_seconds", timeout=5) as answer:
        return len(json.loads(answer.read())["data"]["result"])


def known(alertmanager: Alertmanager, name: str) -> bool:
    """Whether Alertmanager still takes an alert for active."""
    with urlopen(f"{alertmanager.url}/api/v2/alerts?active=true", timeout=5) as answer:
        return any(one["labels"]["alertname"] == name for one in json.loads(answer.read()))
