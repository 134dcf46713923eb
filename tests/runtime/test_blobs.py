"""The blob store: what was put is there whole, or not at all."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.blobs import FolderBlobs


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@given(st.binary(max_size=5_000))
def test_what_is_put_is_got(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    blobs = FolderBlobs(tmp_path_factory.mktemp("blobs") / "not" / "there" / "yet")
    reference = blobs.put(data)
    assert reference == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert blobs.get(reference) == data


def test_the_same_bytes_are_stored_once_in_two_levels_of_folders(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    digest = blobs.put(b"x").removeprefix("sha256:")
    assert blobs.put(b"x") == f"sha256:{digest}"
    assert files(tmp_path) == [tmp_path / digest[:2] / digest[2:4] / digest]


def test_many_at_once(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        references = set(threads.map(blobs.put, [b"x" * (n % 5) for n in range(100)]))
    assert len(references) == len(files(tmp_path)) == 5


@pytest.mark.parametrize(
    "reference",
    ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "0" * 64, "sha256:" + "A" * 64, "md5:" + "0" * 64],
)
def test_what_is_not_there_is_a_key_error(tmp_path: Path, reference: str) -> None:
    with pytest.raises(KeyError):
        FolderBlobs(tmp_path).get(reference)


def test_damaged_bytes_are_not_handed_out(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    reference = blobs.put(b"whole")
    files(tmp_path)[0].write_bytes(b"who")
    with pytest.raises(KeyError, match="damaged"):
        blobs.get(reference)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    blobs = FolderBlobs(tmp_path)
    (tmp_path / hashlib.sha256(b"x").hexdigest()[:2] / hashlib.sha256(b"x").hexdigest()[2:4]).mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            blobs.put(b"x")
    assert files(tmp_path) == []
    assert blobs.get(blobs.put(b"x")) == b"x"


def test_the_bytes_are_on_the_disk_before_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync, rename = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        order.append("folder" if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() else "file")
        sync(descriptor)

    def renamed(source: str, target: Path) -> None:
        order.append("name")
        rename(source, target)

    blobs = FolderBlobs(tmp_path)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    blobs.put(b"x")
    assert order[-3:] == ["file", "name", "folder"]
