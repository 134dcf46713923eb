"""All processes of the hub under one supervisor, for one machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hub.processes import accounts_of
from hub.supervisor import Supervisor
from hub.wiring import stop_event
from runtime.settings import Settings

STAGES: dict[str, Sequence[str]] = {
    "identity": ("worker", "identity"),
    "casework": ("worker", "casework"),
    "projector": ("project",),
    "alerts": ("alert",),
    "sources": ("count",),
    "http": ("serve",),
}


def commands_for(settings: Settings) -> dict[str, Sequence[str]]:
    """The commands to run: every stage, and the doors that have accounts."""
    doors: dict[str, Sequence[str]] = {
        f"{adapter} door": ("receive", adapter)
        for adapter in ("email", "asterisk-ami")
        if accounts_of(settings).get(adapter)
    }
    return STAGES | doors


def metrics_ports(settings: Settings, commands: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """A port of its own for each process's metrics, counted up from HUB_METRICS_PORT; none where that is 0."""
    if not settings.metrics_port:
        return {}
    names = [name for name in commands if name != "http"]  # the HTTP server shows its own at /metrics
    return {name: {"HUB_METRICS_PORT": str(settings.metrics_port + index)} for index, name in enumerate(names)}


async def run_everything(settings: Settings, log_folder: Path | None = None) -> None:
    """Run it all until this process is asked to stop."""
    commands = commands_for(settings)
    supervisor = Supervisor(commands, log_folder=log_folder, own=metrics_ports(settings, commands))
    stopping = stop_event()
    await supervisor.start()
    await stopping.wait()
    await supervisor.stop()
