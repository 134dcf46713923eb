"""Payloads too large for a topic, as files named by their content, two levels of folders deep.

A file appears under its name only when its bytes are on the disk, so a crash leaves no half file, at most a stray
temporary one. The same bytes are stored once. Nothing is ever changed or removed here.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

_REFERENCE = re.compile(r"sha256:([0-9a-f]{64})")


class FolderBlobs:
    """Blobs in one folder, which may be shared by several processes. References are ``sha256:`` and 64 hex digits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """Keep ``data``; its reference, once the bytes are durable. Blocks for the disk."""
        digest = hashlib.sha256(data).hexdigest()
        file = self._file(digest)
        if not file.exists():
            self._make(file.parent)
            self._write(file, data)
        return f"sha256:{digest}"

    def get(self, reference: str) -> bytes:
        """The bytes of a reference. Raises ``KeyError`` when there are none, or when they were damaged on the disk."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise KeyError(f"{reference!r} is no blob reference: it must be sha256: and 64 hex digits")
        try:
            data = self._file(match[1]).read_bytes()
        except FileNotFoundError:
            raise KeyError(f"no blob {reference} in {self._folder}") from None
        if hashlib.sha256(data).hexdigest() != match[1]:
            raise KeyError(f"blob {reference} in {self._folder} is damaged: its bytes have another digest")
        return data

    def _file(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest[2:4] / digest

    def _write(self, file: Path, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync(file.parent)

    def _make(self, folder: Path) -> None:
        """Make the folder and those above it, each entry on the disk before something is put into it."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
