"""What is written down of a running stack, and where a stack's folders are."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from hub.local.kafka import NodeState
from hub.local.process import Process, StackError

_ROOT = Path(__file__).resolve().parents[2]
_PREFIX = "interaction-hub-"


class PostgresState(msgspec.Struct, frozen=True):
    process: Process | None


class AlertmanagerState(msgspec.Struct, frozen=True):
    port: int
    webhook_url: str
    process: Process | None


class StackState(msgspec.Struct, frozen=True):
    """``owner``: if set, the process without which this stack shall not go on."""

    kafka: tuple[NodeState, ...] = ()
    postgres: PostgresState | None = None
    alertmanager: AlertmanagerState | None = None
    owner: Process | None = None


def read_state(file: Path) -> StackState:
    """An empty one if there is no such file."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=StackState)
    except FileNotFoundError:
        return StackState()
    except msgspec.DecodeError as error:
        raise StackError(f"{file} can't be read ({error}); stop what it names by hand, then remove it") from error


def write_state(file: Path, state: StackState) -> None:
    """Replaces the file in one step; a state that names no server removes it."""
    if not (state.kafka or state.postgres or state.alertmanager):
        file.unlink(missing_ok=True)
        return
    fresh = file.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    fresh.rename(file)


def default_folder() -> Path:
    """``.local`` in the project's root; without a source tree (an installed wheel), in the working folder."""
    root = _ROOT if (_ROOT / "deploy" / "local" / "pom.xml").exists() else Path.cwd()
    return root / ".local"


def postgres_folder(stack_folder: Path) -> Path:
    """Where the PostgreSQL of a stack lives: a short path outside any home that outlasts a restart of the machine.

    Named by a hash of the user and ``stack_folder`` (absolute), so that two clones never meet.
    """
    name = hashlib.sha256(f"{os.geteuid()}:{stack_folder}".encode()).hexdigest()[:12]
    return _shared() / f"{_PREFIX}{name}"


def claim(stack_folder: Path) -> None:
    """Writes into the PostgreSQL folder whose it is."""
    (postgres_folder(stack_folder) / "belongs-to").write_text(str(stack_folder))


def claims() -> dict[Path, Path]:
    """This user's PostgreSQL folders on this machine: stack folder (which may be gone) → PostgreSQL folder."""
    found = {}
    for folder in _shared().glob(f"{_PREFIX}*"):
        try:
            if folder.lstat().st_uid != os.geteuid():
                continue  # anybody may make folders there, so another user's says nothing that can be trusted
            stack_folder = Path((folder / "belongs-to").read_text())
        except OSError:
            continue  # just being made
        if postgres_folder(stack_folder) == folder:
            found[stack_folder] = folder
    return found


def _shared() -> Path:
    lasting = Path("/var/tmp")
    return lasting if lasting.is_dir() else Path(tempfile.gettempdir())
