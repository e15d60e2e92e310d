"""Settings kept in Secret Manager, over a server that speaks Google's protocol."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.cloud import secretmanager_v1 as sm
from grpc import StatusCode

from adapters.secret_manager import reveal
from domain.ports import Unavailable

TOKEN = "projects/offhook-test/secrets/twilio-token"


class SecretsServer:
    def __init__(self) -> None:
        self.secrets = {f"{TOKEN}/versions/latest": b"new\n", f"{TOKEN}/versions/3": b"old"}
        self.asked: list[str] = []
        self.failures: list[StatusCode] = []

    def access(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.asked.append(request.name)
        if self.failures:
            context.abort(self.failures.pop(0), "secret words")
        if request.name not in self.secrets:
            context.abort(StatusCode.NOT_FOUND, f"Secret [{request.name}] not found or has no versions.")
        return sm.AccessSecretVersionResponse(name=request.name, payload={"data": self.secrets[request.name]})


@pytest.fixture
def server() -> Iterator[SecretsServer]:
    secrets = SecretsServer()
    handler = grpc.unary_unary_rpc_method_handler(
        secrets.access, sm.AccessSecretVersionRequest.deserialize, sm.AccessSecretVersionResponse.serialize
    )
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    with ThreadPoolExecutor(2) as threads:
        listening = grpc.server(threads)
        listening.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"AccessSecretVersion": handler}),)
        )
        secrets.endpoint = f"127.0.0.1:{listening.add_insecure_port('127.0.0.1:0')}"  # type: ignore[attr-defined]
        listening.start()
        yield secrets
        listening.stop(None).wait()


def revealed(server: Any, **settings: str) -> dict[str, str]:
    return reveal(settings, server.endpoint, insecure=True, within_s=0.5)


def test_a_secret_takes_the_place_of_its_name(server: SecretsServer) -> None:
    assert revealed(
        server, TOKEN=f"sm://{TOKEN}/versions/latest", LATEST=f"sm://{TOKEN}", OLD=f"sm://{TOKEN}/versions/3", PORT="80"
    ) == {"TOKEN": "new", "LATEST": "new", "OLD": "old", "PORT": "80"}


def test_without_secrets_nobody_is_asked() -> None:
    assert reveal({"PORT": "8080"}, "127.0.0.1:1") == {"PORT": "8080"}


@pytest.mark.parametrize(
    "value", ["sm://", "sm://token", "sm://projects/p/secrets/", f"sm://{TOKEN}/versions/", "sm:///x"]
)
def test_what_names_no_secret_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="TOKEN: a secret is named"):
        reveal({"TOKEN": value})


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (StatusCode.NOT_FOUND, "create it"),
        (StatusCode.FAILED_PRECONDITION, "disabled or destroyed"),
        (StatusCode.PERMISSION_DENIED, "refused permission"),
        (StatusCode.UNAUTHENTICATED, "did not accept the credentials"),
        (StatusCode.UNAVAILABLE, "could not be reached"),
    ],
)
def test_trouble_names_the_setting(server: SecretsServer, code: StatusCode, words: str) -> None:
    server.failures = [code] * 100
    with pytest.raises(Unavailable, match=f"TOKEN: .*{words}") as problem:
        revealed(server, TOKEN=f"sm://{TOKEN}")
    assert "secret words" not in str(problem.value)


def test_what_may_pass_is_tried_again(server: SecretsServer) -> None:
    server.failures = [StatusCode.UNAVAILABLE, StatusCode.INTERNAL]
    assert revealed(server, TOKEN=f"sm://{TOKEN}") == {"TOKEN": "new"}


def test_a_secret_that_is_no_text_is_told(server: SecretsServer) -> None:
    server.secrets[f"{TOKEN}/versions/latest"] = b"\xff\xfe"
    with pytest.raises(Unavailable, match="isn't text"):
        revealed(server, TOKEN=f"sm://{TOKEN}")
