"""A local server that speaks Secret Manager's protocol, as far as organisations' secrets need it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from google.cloud import secretmanager_v1 as sm
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode


@dataclass
class Kept:
    labels: dict[str, str]
    versions: list[bytes] = field(default_factory=list)


class SecretsServer:
    """`with` it. Its errors repeat what they were sent, as a server's may."""

    def __init__(self) -> None:
        self.secrets: dict[str, Kept] = {}
        self.asked: list[str] = []
        self.failures: list[StatusCode] = []
        self.page_size = 100

    def __enter__(self) -> Self:
        self._threads = ThreadPoolExecutor(2)
        self._server = grpc.server(self._threads)
        methods = {
            "CreateSecret": (self._create, sm.CreateSecretRequest, sm.Secret.serialize),
            "AddSecretVersion": (self._add, sm.AddSecretVersionRequest, sm.SecretVersion.serialize),
            "AccessSecretVersion": (
                self._access,
                sm.AccessSecretVersionRequest,
                sm.AccessSecretVersionResponse.serialize,
            ),
            "DeleteSecret": (self._delete, sm.DeleteSecretRequest, Empty.SerializeToString),
            "ListSecrets": (self._list, sm.ListSecretsRequest, sm.ListSecretsResponse.serialize),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(self._noting(name, work), request.deserialize, serialize)
            for name, (work, request, serialize) in methods.items()
        }
        service = "google.cloud.secretmanager.v1.SecretManagerService"
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()
        self._threads.shutdown()

    def _noting(self, name: str, work: Any) -> Any:
        def run(request: Any, context: grpc.ServicerContext) -> Any:
            self.asked.append(name)
            if self.failures:
                context.abort(self.failures.pop(0), f"refused: {request}")
            return work(request, context)

        return run

    def _create(self, request: Any, context: grpc.ServicerContext) -> Any:
        name = f"{request.parent}/secrets/{request.secret_id}"
        if name in self.secrets:
            context.abort(StatusCode.ALREADY_EXISTS, f"Secret [{name}] already exists.")
        if not sm.Secret.pb(request.secret).HasField("replication"):
            context.abort(StatusCode.INVALID_ARGUMENT, "Secret.replication must be provided.")
        self.secrets[name] = Kept(dict(request.secret.labels))
        return sm.Secret(name=name, labels=request.secret.labels)

    def _add(self, request: Any, context: grpc.ServicerContext) -> Any:
        versions = self._kept(request.parent, context).versions
        versions.append(request.payload.data)
        return sm.SecretVersion(name=f"{request.parent}/versions/{len(versions)}")

    def _access(self, request: Any, context: grpc.ServicerContext) -> Any:
        name, _, version = request.name.rpartition("/versions/")
        versions = self._kept(name, context).versions
        if version != "latest" or not versions:
            context.abort(StatusCode.NOT_FOUND, f"Secret [{name}] not found or has no versions.")
        return sm.AccessSecretVersionResponse(name=request.name, payload={"data": versions[-1]})

    def _delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._kept(request.name, context)
        del self.secrets[request.name]
        return Empty()

    def _list(self, request: Any, context: grpc.ServicerContext) -> Any:
        label, _, wanted = request.filter.removeprefix("labels.").partition("=")
        names = sorted(name for name, kept in self.secrets.items() if kept.labels.get(label) == wanted)
        begin = int(request.page_token or 0)
        end = begin + min(self.page_size, request.page_size)
        found = [sm.Secret(name=name, labels=self.secrets[name].labels) for name in names[begin:end]]
        return sm.ListSecretsResponse(secrets=found, next_page_token=str(end) if end < len(names) else "")

    def _kept(self, name: str, context: grpc.ServicerContext) -> Kept:
        if name not in self.secrets:
            context.abort(StatusCode.NOT_FOUND, f"Secret [{name}] not found.")
        return self.secrets[name]
