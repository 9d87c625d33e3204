"""WATCH's snapshots: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamwatch.errors import StoreError
from streamwatch.store.checkpoints import Checkpoints


def test_what_is_written_is_read(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path / "store"))
    assert checkpoints.read("watch-1") is None
    assert checkpoints.names() == []
    data = bytes(range(256)) * 1_000
    checkpoints.write("watch-1", data)
    checkpoints.write("watch-2", b"")
    assert checkpoints.read("watch-1") == data
    assert Checkpoints(f"{tmp_path}/store/").read("watch-2") == b""
    assert (tmp_path / "store" / "_checkpoints" / "watch-1").exists()


def test_pruning_keeps_what_it_is_told(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    for number in range(4):
        checkpoints.write(f"watch-{number}", b"x")
    checkpoints.prune({"watch-3", "watch-9"})
    assert checkpoints.names() == ["watch-3"]
    checkpoints.prune([])
    assert checkpoints.names() == []


def test_one_can_be_deleted_and_twice_is_no_error(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.write("watch-1", b"x")
    checkpoints.write("watch-2", b"x")
    checkpoints.delete("watch-1")
    checkpoints.delete("watch-1")
    assert checkpoints.names() == ["watch-2"]


def test_a_write_that_died_leaves_the_old_snapshot(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.write("watch", b"old")
    unfinished = tmp_path / "_checkpoints" / ".watch.tmp"
    unfinished.write_bytes(b"ne")
    assert checkpoints.read("watch") == b"old"
    assert checkpoints.names() == ["watch"]
    checkpoints.write("watch", b"new")
    assert checkpoints.read("watch") == b"new"
    assert not unfinished.exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\0", "x" * 300])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="no name for a snapshot"):
        Checkpoints(str(tmp_path)).write(name, b"")


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "_checkpoints").write_text("in the way")
    with pytest.raises(StoreError, match="snapshot watch"):
        Checkpoints(str(tmp_path)).write("watch", b"")


def test_a_file_url_and_an_unknown_one(tmp_path: Path) -> None:
    Checkpoints(f"file://{tmp_path}").write("watch", b"x")
    assert Checkpoints(str(tmp_path)).names() == ["watch"]
    with pytest.raises(StoreError, match="carrier-pigeon"):
        Checkpoints("carrier-pigeon://roof")
