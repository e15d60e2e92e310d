"""What every keeper of organisations' secrets does. An adapter joins by its line in ADAPTERS."""

import asyncio
import logging
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from adapters.google_secrets import GoogleSecrets
from adapters.local_secrets import LocalSecrets
from domain.ports import Secrets, Unavailable
from tests.fakes.memory_secrets import MemorySecrets
from tests.fakes.secrets_server import SecretsServer

ONE, OTHER = "org_one", "org_other"
WORD = "s3cret-word"

Open = Callable[[Path], AbstractAsyncContextManager[Secrets]]


@asynccontextmanager
async def memory(home: Path) -> AsyncIterator[Secrets]:
    yield MemorySecrets()


@asynccontextmanager
async def local(home: Path) -> AsyncIterator[Secrets]:
    yield LocalSecrets(home / "secrets")


@asynccontextmanager
async def google(home: Path) -> AsyncIterator[Secrets]:
    with SecretsServer() as server:
        async with GoogleSecrets("offhook-test", server.endpoint, insecure=True) as secrets:
            yield secrets


ADAPTERS: dict[str, Open] = {"memory": memory, "local": local, "google": google}


@pytest.fixture(params=ADAPTERS)
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[Secrets], Awaitable[Any]]], Any]:
    def run(story: Callable[[Secrets], Awaitable[Any]]) -> Any:
        async def told() -> Any:
            async with ADAPTERS[request.param](tmp_path) as secrets:
                return await story(secrets)

        return asyncio.run(told())

    return run


Tell = Callable[[Callable[[Secrets], Awaitable[Any]]], Any]


def test_a_secret_is_kept_until_it_is_forgotten(tell: Tell) -> None:
    async def story(secrets: Secrets) -> None:
        assert await secrets.get(ONE, "crm_key") is None
        await secrets.put(ONE, "crm_key", WORD)
        assert await secrets.get(ONE, "crm_key") == WORD
        await secrets.put(ONE, "crm_key", "another")
        assert await secrets.get(ONE, "crm_key") == "another"
        await secrets.forget(ONE, "crm_key")
        assert await secrets.get(ONE, "crm_key") is None
        await secrets.forget(ONE, "crm_key")

    tell(story)


def test_an_organisation_has_its_own(tell: Tell) -> None:
    async def story(secrets: Secrets) -> None:
        await secrets.put(ONE, "b", WORD)
        await secrets.put(ONE, "a", WORD)
        await secrets.put(OTHER, "c", "x")
        assert list(await secrets.names(ONE)) == ["a", "b"]
        assert list(await secrets.names(OTHER)) == ["c"]
        assert list(await secrets.names("org_new")) == []
        assert await secrets.get(OTHER, "a") is None

    tell(story)


@pytest.mark.parametrize("name", ["", "A", "a-b", "../b", "a/b", ".a", "a.b", "1a", "a" * 41, "é"])
def test_a_name_that_is_none_is_refused(tell: Tell, name: str) -> None:
    async def story(secrets: Secrets) -> None:
        for doing in (secrets.get(ONE, name), secrets.put(ONE, name, WORD), secrets.forget(ONE, name)):
            with pytest.raises(ValueError, match="name") as problem:
                await doing
            assert WORD not in str(problem.value)

    tell(story)


@pytest.mark.parametrize("value", ["", "a\nb", "a\r\nX-Evil: b", "ü", "x" * 10_001, "\x00"])
def test_a_value_that_no_header_takes_is_refused_and_not_repeated(tell: Tell, value: str) -> None:
    async def story(secrets: Secrets) -> None:
        with pytest.raises(ValueError, match="printable") as problem:
            await secrets.put(ONE, "key", value)
        assert not value or value not in str(problem.value)
        assert await secrets.get(ONE, "key") is None

    tell(story)


def test_values_show_nowhere(tell: Tell, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(secrets: Secrets) -> None:
        await secrets.put(ONE, "crm_key", WORD)
        await secrets.get(ONE, "crm_key")
        assert WORD not in repr(secrets)

    tell(story)
    assert WORD not in caplog.text + "".join(capsys.readouterr())


# --- in files ---


def test_files_are_their_user_s_only(tmp_path: Path) -> None:
    asyncio.run(LocalSecrets(tmp_path / "secrets").put(ONE, "key", WORD))
    for path in (tmp_path / "secrets").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert [path.name for path in (tmp_path / "secrets" / ONE).iterdir()] == ["key"]


def test_an_organisation_s_id_leads_nowhere_else(tmp_path: Path) -> None:
    for id in ("..", "a/b", "", "/etc"):
        with pytest.raises(ValueError, match="organisation"):
            asyncio.run(LocalSecrets(tmp_path).get(id, "key"))


def test_files_that_can_t_be_used_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file where a folder should be")
    with pytest.raises(Unavailable, match="secrets' files"):
        asyncio.run(LocalSecrets(tmp_path / "secrets").put(ONE, "key", WORD))


# --- in Secret Manager ---


def with_google(story: Callable[[GoogleSecrets, SecretsServer], Awaitable[Any]], **how: Any) -> None:
    async def run() -> None:
        with SecretsServer() as server:
            async with GoogleSecrets("offhook-test", server.endpoint, insecure=True, **how) as secrets:
                await story(secrets, server)

    asyncio.run(run())


def test_each_is_a_secret_with_labels() -> None:
    async def story(secrets: GoogleSecrets, server: SecretsServer) -> None:
        await secrets.put(ONE, "crm_key", WORD)
        await secrets.put(ONE, "crm_key", "another")
        [(path, kept)] = server.secrets.items()
        assert path == "projects/offhook-test/secrets/offhook-org_one-crm_key"
        assert kept.labels == {"offhook_organisation": ONE, "offhook_name": "crm_key"}
        assert kept.versions == [WORD.encode(), b"another"]

    with_google(story)


def test_a_value_is_asked_for_once_a_while() -> None:
    async def story(secrets: GoogleSecrets, server: SecretsServer) -> None:
        await secrets.put(ONE, "key", WORD)
        for _ in range(3):
            await secrets.get(ONE, "key")
        assert server.asked.count("AccessSecretVersion") == 1

    with_google(story)

    async def impatient(secrets: GoogleSecrets, server: SecretsServer) -> None:
        await secrets.put(ONE, "key", WORD)
        for _ in range(2):
            await secrets.get(ONE, "key")
        assert server.asked.count("AccessSecretVersion") == 2

    with_google(impatient, kept_s=0)


def test_many_names_come_in_pages() -> None:
    async def story(secrets: GoogleSecrets, server: SecretsServer) -> None:
        server.page_size = 2
        for name in "abcde":
            await secrets.put(ONE, name, WORD)
        assert list(await secrets.names(ONE)) == ["a", "b", "c", "d", "e"]

    with_google(story)


def test_what_may_pass_is_tried_again() -> None:
    async def story(secrets: GoogleSecrets, server: SecretsServer) -> None:
        server.failures = [StatusCode.UNAVAILABLE, StatusCode.INTERNAL]
        await secrets.put(ONE, "key", WORD)
        assert await secrets.get(ONE, "key") == WORD

    with_google(story)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (StatusCode.PERMISSION_DENIED, "refused permission"),
        (StatusCode.UNAUTHENTICATED, "did not accept the credentials"),
        (StatusCode.UNAVAILABLE, "could not be reached"),
    ],
)
def test_trouble_is_told_without_google_s_words(code: StatusCode, words: str) -> None:
    async def story(secrets: GoogleSecrets, server: SecretsServer) -> None:
        await secrets.check()
        server.failures = [code] * 100
        with pytest.raises(Unavailable, match=words):
            await secrets.check()
        server.failures = [code] * 100
        with pytest.raises(Unavailable, match=words) as problem:
            await secrets.put(ONE, "key", WORD)
        assert WORD not in str(problem.value)

    with_google(story, within_s=0.5)
