"""Prometheus' Alertmanager with one route to one webhook: the real peer for alerts in the demo and the tests.

Debian's binary, 0.25 and newer, run by itself and not as the system's service. It keeps what it must not
repeat in its folder; it gossips with nobody.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import yaml

from hub.local.process import Process, StackError, free_ports, launch
from hub.local.server import Server


def find_alertmanager() -> Path | None:
    """The program on the PATH, under Debian's name or its own; None if there is none."""
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    return Path(found) if found else None


class Alertmanager(Server):
    """One server under ``folder`` that posts every alert to ``webhook_url`` (Alertmanager's webhook JSON, version 4).

    ``group_wait``: seconds between a group's first alert and its first notification; ``group_interval``: seconds
    between later notifications of the same group; ``group_by``: labels that tell groups apart, ``...`` for all of
    them. Resolved alerts are sent, too. ``port``: used if it is free, or if ``process`` has it.
    """

    start_timeout = 20.0
    stop_timeout = 10.0

    def __init__(
        self,
        folder: Path,
        program: Path,
        webhook_url: str,
        *,
        group_wait: float = 0.1,
        group_interval: float = 1.0,
        group_by: tuple[str, ...] = ("...",),
        port: int | None = None,
        process: Process | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__("Alertmanager", folder / "alertmanager.log", process, changed)
        self.folder = folder
        self.webhook_url = webhook_url
        self.port = port if port is not None and process is not None else free_ports(1, [port] if port else [])[0]
        self._program = program
        self._group_wait = group_wait
        self._group_interval = group_interval
        self._group_by = group_by

    @property
    def url(self) -> str:
        """Where its API is, without a slash at the end: ``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        if self.running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(self._configuration(), sort_keys=False))
        command = [
            self._program,
            f"--config.file={file}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]
        self.process = launch(command, log=self.log, cwd=self.folder)

    def ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:  # refused, cut off, or an HTTP status of 400 and above
            return False

    def _configuration(self) -> dict[str, object]:
        return {
            "route": {
                "receiver": "webhook",
                "group_by": list(self._group_by),
                "group_wait": _duration(self._group_wait),
                "group_interval": _duration(self._group_interval),
                "repeat_interval": "4h",
            },
            "receivers": [
                {"name": "webhook", "webhook_configs": [{"url": self.webhook_url, "send_resolved": True}]},
            ],
        }


def _duration(seconds: float) -> str:
    """As Prometheus writes durations: whole milliseconds, and not zero for what must be positive."""
    if seconds <= 0:
        raise StackError(f"Alertmanager's group_wait and group_interval must be above 0 s; got {seconds}")
    return f"{max(1, round(seconds * 1000))}ms"
