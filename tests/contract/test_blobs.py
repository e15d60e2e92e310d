"""What every store of files does. An adapter joins by its line in ADAPTERS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.oauth2.credentials import Credentials

from adapters.cloud_storage_blobs import CloudStorageBlobs
from adapters.file_blobs import FileBlobs
from domain.blob_path import LARGEST_BLOB
from domain.ports import Blobs, Unavailable
from tests.fakes.knowledge import MemoryBlobs
from tests.fakes.storage_server import BUCKET, TOKEN, StorageServer


@asynccontextmanager
async def files(folder: Path) -> AsyncIterator[Blobs]:
    yield FileBlobs(folder)


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Blobs]:
    yield MemoryBlobs()


@asynccontextmanager
async def cloud_storage(folder: Path) -> AsyncIterator[Blobs]:
    async with StorageServer(TOKEN) as server, CloudStorageBlobs(BUCKET, server.url, credentials()) as blobs:
        yield blobs


def credentials(token: str = TOKEN) -> Any:
    return Credentials(token=token)  # type: ignore[no-untyped-call]


ADAPTERS = {"files": files, "memory": memory, "cloud_storage": cloud_storage}
Open = Callable[[], AbstractAsyncContextManager[Blobs]]


@pytest.fixture(params=ADAPTERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return lambda: ADAPTERS[request.param](tmp_path)


PATH = "organisations/org_a/knowledge/doc_1"


def test_a_file_comes_back_as_it_was_until_it_is_deleted(store: Open) -> None:
    async def story() -> None:
        async with store() as blobs:
            assert await blobs.get(PATH) is None
            assert not await blobs.exists(PATH)
            await blobs.put(PATH, b"\x00\xff one")
            assert await blobs.get(PATH) == b"\x00\xff one"
            assert await blobs.exists(PATH)
            await blobs.put(PATH, b"two")
            assert await blobs.get(PATH) == b"two"
            await blobs.delete(PATH)
            await blobs.delete(PATH)
            assert await blobs.get(PATH) is None

    asyncio.run(story())


def test_a_file_may_have_the_name_of_a_folder_and_be_empty(store: Open) -> None:
    async def story() -> None:
        async with store() as blobs:
            await blobs.put("a/b", b"outer")
            await blobs.put("a/b/c", b"")
            assert (await blobs.get("a/b"), await blobs.get("a/b/c")) == (b"outer", b"")
            await blobs.delete("a/b/c")
            assert await blobs.get("a/b") == b"outer"

    asyncio.run(story())


def test_paths_lead_nowhere_else(store: Open) -> None:
    async def story() -> None:
        async with store() as blobs:
            for path in ("", "/etc/passwd", "..", "a/../b", "a//b", "a/.hidden", "a/b ", "a\\b", "a/%2e%2e/b", "ä"):
                with pytest.raises(ValueError, match="not the path"):
                    await blobs.put(path, b"x")
                with pytest.raises(ValueError, match="not the path"):
                    await blobs.get(path)
                with pytest.raises(ValueError, match="not the path"):
                    await blobs.delete(path)

    asyncio.run(story())


def test_large_files_are_kept_and_too_large_ones_refused(store: Open) -> None:
    async def story() -> None:
        async with store() as blobs:
            await blobs.put(PATH, b"x" * LARGEST_BLOB)
            assert len(await blobs.get(PATH) or b"") == LARGEST_BLOB
            with pytest.raises(ValueError, match="at most"):
                await blobs.put(PATH, b"x" * (LARGEST_BLOB + 1))

    asyncio.run(story())


# --- Files ------------------------------------------------------------------------------------------------------------


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    async def story() -> None:
        blobs = FileBlobs(tmp_path / "blobs")
        await blobs.check()
        await blobs.put(PATH, b"x")
        await blobs.delete(PATH)
        await blobs.delete("check")

    asyncio.run(story())
    assert list(tmp_path.glob("blobs/*")) == []


def test_a_folder_that_can_t_be_had_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file in its place")
    with pytest.raises(Unavailable, match="failed"):
        asyncio.run(FileBlobs(tmp_path / "blobs").put(PATH, b"x"))


# --- Cloud Storage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [[503], [429, 500], [0, 503]], ids=str)
def test_what_passes_is_tried_again(failures: list[int]) -> None:
    async def story() -> None:
        async with StorageServer() as server, CloudStorageBlobs(BUCKET, server.url) as blobs:
            await blobs.check()
            server.failures = failures
            await blobs.put(PATH, b"x")
            assert server.kept == {PATH: b"x"}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("bucket", "token", "failures", "fix"),
    [
        ("another", TOKEN, [], "no bucket 'another'"),
        (BUCKET, "old", [], "did not accept the credentials"),
        (BUCKET, TOKEN, [403], "roles/storage.objectUser"),
        (BUCKET, TOKEN, [503] * 9, r"failed \(503\)"),
        (BUCKET, TOKEN, [0] * 9, "could not be reached"),
    ],
)
def test_what_is_wrong_is_said(bucket: str, token: str, failures: list[int], fix: str) -> None:
    async def story() -> None:
        async with StorageServer(TOKEN) as server, CloudStorageBlobs(bucket, server.url, credentials(token)) as blobs:
            for ask in (blobs.check, lambda: blobs.put(PATH, b"x")):
                server.failures = list(failures)
                with pytest.raises(Unavailable, match=fix):
                    await ask()

    asyncio.run(story())
