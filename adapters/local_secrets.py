"""Organisations' secrets in files of this machine, which only its user can read."""

import asyncio
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from domain.ports import Unavailable
from domain.secret import check_secret

_ORGANISATION = re.compile(r"[A-Za-z0-9_]{1,100}")


class LocalSecrets:
    """See `domain.ports.Secrets`. One directory per organisation, one file per secret."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get(self, organisation: str, name: str) -> str | None:
        return await asyncio.to_thread(self._read, self._path(organisation, name))

    async def put(self, organisation: str, name: str, value: str) -> None:
        check_secret(name, value)
        await asyncio.to_thread(self._write, self._path(organisation, name), value)

    async def forget(self, organisation: str, name: str) -> None:
        await asyncio.to_thread(self._delete, self._path(organisation, name))

    async def names(self, organisation: str) -> Sequence[str]:
        return await asyncio.to_thread(self._list, self._path(organisation, "x").parent)

    def _path(self, organisation: str, name: str) -> Path:
        check_secret(name)
        if not _ORGANISATION.fullmatch(organisation):
            raise ValueError("not an organisation's id")
        return self._folder / organisation / name

    def _read(self, path: Path) -> str | None:
        try:
            return path.read_text()
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise _unavailable(problem) from None

    def _write(self, path: Path, value: str) -> None:
        """Whoever reads meanwhile finds the old one or the new one, whole."""
        new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            for folder in (self._folder, path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as problem:
            with suppress(OSError):
                new.unlink()
            raise _unavailable(problem) from None

    def _delete(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            pass
        except OSError as problem:
            raise _unavailable(problem) from None

    def _list(self, folder: Path) -> Sequence[str]:
        try:
            return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise _unavailable(problem) from None


def _unavailable(problem: OSError) -> Unavailable:
    return Unavailable(f"the secrets' files can't be used: {problem.strerror}")
