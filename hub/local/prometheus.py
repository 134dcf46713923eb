"""Prometheus, which scrapes the hub and evaluates its rules: the real peer of ``deploy/prometheus`` in the tests.

Debian's binary, run by itself and not as the system's service.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.request import urlopen

import yaml

from hub.local.process import Process, free_ports, launch
from hub.local.server import Server


def find_prometheus() -> Path | None:
    """The program on the PATH; None if there is none."""
    found = shutil.which("prometheus")
    return Path(found) if found else None


class Prometheus(Server):
    """One server under ``folder`` with this configuration, in the words of its ``prometheus.yml``. ``rules``: a file
    that the configuration names as it is named there."""

    start_timeout = 30.0
    stop_timeout = 10.0

    def __init__(
        self,
        folder: Path,
        program: Path,
        configuration: Mapping[str, object],
        rules: Path,
        process: Process | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__("Prometheus", folder / "prometheus.log", process, changed)
        self.folder = folder
        self.port = free_ports(1)[0]
        self._program = program
        self._configuration = configuration
        self._rules = rules

    @property
    def url(self) -> str:
        """Where its API is, without a slash at the end: ``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        if self.running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._rules, self.folder)
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(dict(self._configuration), sort_keys=False))
        command = [
            self._program,
            f"--config.file={file}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--rules.alert.resend-delay=5s",
        ]
        self.process = launch(command, log=self.log, cwd=self.folder)

    def ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:  # refused, cut off, or an HTTP status of 400 and above
            return False
