import threading
from pathlib import Path

import pytest

from streamwatch.errors import ModelError
from streamwatch.model.artifacts import built_folder


def write_marker(folder: Path) -> None:
    (folder / "marker").write_text("built")


def refuse(folder: Path) -> None:
    raise AssertionError(folder)


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    cache = tmp_path / "a" / "cache"
    folder = built_folder(cache, "model", write_marker)
    assert built_folder(cache, "model", refuse) == folder
    assert [path.name for path in cache.iterdir()] == ["model"]


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        built_folder(tmp_path, "model", refuse)
    assert list(tmp_path.iterdir()) == []


def test_two_that_build_at_once_both_get_a_whole_folder(tmp_path: Path) -> None:
    both_build = threading.Barrier(2, timeout=30)
    folders: list[Path] = []

    def build(folder: Path) -> None:
        both_build.wait()
        write_marker(folder)

    def member() -> None:
        folders.append(built_folder(tmp_path, "model", build))

    threads = [threading.Thread(target=member) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders == [tmp_path / "model"] * 2
    assert (folders[0] / "marker").read_text() == "built"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_cache_that_cannot_be_made_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"model\.cache_dir"):
        built_folder(tmp_path / "file" / "cache", "model", write_marker)
