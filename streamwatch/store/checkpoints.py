"""WATCH's snapshots and history, beside the tables: files that are written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from streamwatch.durable_file import write_durably
from streamwatch.errors import StoreError

FOLDER = "_checkpoints"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class Checkpoints:
    """Named blobs under `<url>/_checkpoints/`, in a folder or an object store.

    Args:
        url: Root of the store, the same as for the tables.
        storage_options: As for the tables, in the names of AWS; what is left out comes from the environment.
        folder: Where they lie under the root.

    Raises:
        StoreError: The address is of no kind that is known.
    """

    def __init__(self, url: str, storage_options: Mapping[str, str] | None = None, *, folder: str = FOLDER) -> None:
        self._local = not re.match(r"[a-z][a-z0-9+.-]*://", url) or url.startswith("file://")
        try:
            self._files, root = _file_system(url, storage_options or {}, local=self._local)
        except (pa.ArrowException, OSError, ValueError) as error:
            message = f"store {url}: {error}"
            raise StoreError(message) from error
        self._folder = PurePosixPath(root) / folder

    def write(self, name: str, data: bytes) -> None:
        """Write a snapshot; when this returns it is on disk, or acknowledged by the object store.

        Raises:
            StoreError: It could not be written. A snapshot of this name, if there was one, is as before.
        """
        path = self._path(name)
        try:
            if self._local:
                write_durably(Path(path), data)
            else:
                with self._files.open_output_stream(path) as stream:
                    stream.write(data)
        except (pa.ArrowException, OSError) as error:
            message = f"snapshot {name}: {error}"
            raise StoreError(message) from error

    def read(self, name: str) -> bytes | None:
        """Return a snapshot, or None when there is none of this name.

        Raises:
            StoreError: It is there but cannot be read.
        """
        path = self._path(name)
        try:
            with self._files.open_input_stream(path) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError) as error:
            message = f"snapshot {name}: {error}"
            raise StoreError(message) from error

    def names(self) -> list[str]:
        """Return the names of the snapshots, in their order as text."""
        selector = fs.FileSelector(str(self._folder), allow_not_found=True)
        try:
            found = [info.base_name for info in self._files.get_file_info(selector) if info.type == fs.FileType.File]
        except (pa.ArrowException, OSError) as error:
            message = f"snapshots: {error}"
            raise StoreError(message) from error
        return sorted(name for name in found if _NAME.fullmatch(name))

    def delete(self, name: str) -> None:
        """Delete a snapshot; one that is not there is no error.

        Raises:
            StoreError: It could not be deleted.
        """
        path = self._path(name)
        try:
            self._files.delete_file(path)
        except FileNotFoundError:
            return
        except (pa.ArrowException, OSError) as error:
            message = f"snapshot {name}: {error}"
            raise StoreError(message) from error

    def prune(self, keep: Collection[str]) -> None:
        """Delete every snapshot but those to keep.

        Raises:
            StoreError: One could not be deleted.
        """
        for name in self.names():
            if name not in keep:
                self.delete(name)

    def _path(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            message = f"{name!r} is no name for a snapshot: letters, digits, dot, dash and underscore"
            raise StoreError(message)
        return str(self._folder / name)


def _file_system(url: str, options: Mapping[str, str], *, local: bool) -> tuple[fs.FileSystem, str]:
    if local:
        return fs.LocalFileSystem(), str(Path(url.removeprefix("file://")).resolve())
    if options and url.startswith("s3"):
        parts = urlsplit(url)
        return _s3(options), parts.netloc + parts.path.rstrip("/")
    found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(url.rstrip("/"))
    return found


def _s3(options: Mapping[str, str]) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key=options.get("AWS_ACCESS_KEY_ID"),
        secret_key=options.get("AWS_SECRET_ACCESS_KEY"),
        session_token=options.get("AWS_SESSION_TOKEN"),
        region=options.get("AWS_REGION"),
        endpoint_override=options.get("AWS_ENDPOINT_URL"),
    )
