"""Folders of built files, keyed by what they were built from, shared by every process of a user."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from streamwatch.errors import ModelError

log = logging.getLogger(__name__)


def default_cache() -> Path:
    """Return where built models are kept when nobody says where: the user's cache folder."""
    return Path.home() / ".cache" / "streamwatch" / "models"


def built_folder(cache: Path, name: str, build: Callable[[Path], None]) -> Path:
    """Return the folder `name` of the cache, built first if it is not there.

    It is built under a name of its own and then renamed, so another process sees all of it or nothing. When two
    build at once, the first to finish wins, and the other takes what the first has built.

    Args:
        cache: Folder of all built folders; made when it is missing.
        name: Says everything that the content depends on.
        build: Fills the empty folder that it is given.

    Raises:
        ModelError: The cache cannot be written.
    """
    folder = cache / name
    if folder.is_dir():
        return folder
    log.info("building the model's runtime files", extra={"folder": str(folder)})
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=cache, ignore_cleanup_errors=True) as scratch:
            filled = Path(scratch) / name
            filled.mkdir()
            build(filled)
            _move(filled, folder)
    except OSError as error:
        message = f"{cache}: cannot keep built models here: {error.strerror}; name another folder in model.cache_dir"
        raise ModelError(message) from error
    return folder


def _move(filled: Path, folder: Path) -> None:
    try:
        os.rename(filled, folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(filled)
