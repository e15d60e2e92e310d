"""Blobs as files in a folder: what Cloud Storage is to the cloud, for one machine."""

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from domain.blob_path import check_blob
from domain.ports import Unavailable

T = TypeVar("T")


class FileBlobs:
    """See `domain.ports.Blobs`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def check(self) -> None:
        """Raises Unavailable unless files can be written."""
        await self.put("check", b"check")

    async def put(self, path: str, content: bytes) -> None:
        check_blob(path, content)
        await self._do(self._put, path, content)

    async def get(self, path: str) -> bytes | None:
        check_blob(path)
        return await self._do(self._get, path)

    async def delete(self, path: str) -> None:
        check_blob(path)
        await self._do(self._delete, path)

    async def exists(self, path: str) -> bool:
        check_blob(path)
        return await self._do(lambda path: self._file(path).is_file(), path)

    async def _do(self, job: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.to_thread(job, *arguments)
        except OSError as problem:
            raise Unavailable(f"the folder {self._folder} failed: {problem.strerror}") from problem

    # What follows runs in a thread.

    def _file(self, path: str) -> Path:
        # An ending keeps a file from being in the way of a folder of the same name.
        return self._folder / f"{path}.blob"

    def _put(self, path: str, content: bytes) -> None:
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        try:
            with unfinished.open("wb") as writing:
                writing.write(content)
                writing.flush()
                os.fsync(writing.fileno())
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
        folder = os.open(file.parent, os.O_RDONLY)  # the name is written down as well
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _get(self, path: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return self._file(path).read_bytes()
        return None

    def _delete(self, path: str) -> None:
        self._file(path).unlink(missing_ok=True)
        for folder in self._file(path).parents:
            if folder == self._folder:
                break
            try:
                folder.rmdir()
            except OSError:  # there is more in it
                break
