"""Passages in Firestore, found by their meaning: each lies beside its vector, and those nearest to a question's are
found.

`organisations/{organisation}/passages/{id}` holds document, title, text and vector; the id is made of what it holds, so
keeping the same again changes nothing. New ones are written before old ones go: meanwhile both are found, and neither
is missing. `infra/firestore.indexes.json` declares the vector indexes.

This speaks through the generated client, as Firestore's documents do, and for the same reasons."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from adapters.google_request import GoogleRequests
from adapters.grpc_channels import GrpcChannels
from domain.ports import Unavailable
from schemas.passage import Passage

if TYPE_CHECKING:  # at run time only if it is chosen: importing them takes a second
    from google.auth.credentials import Credentials
    from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient

NAME, HOST = "Firestore", "firestore.googleapis.com"
TIMEOUT_S = 4.0
"""For one request, its repetitions included."""
AGAIN = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "ABORTED")
"""gRPC's names of failures that a repetition may not meet. Writes are repeated as well: they write the same again."""
AT_ONCE = 200
"""Passages of one commit; Firestore takes 10 MB."""
MOST_DOCUMENTS = 30
"""In one query: Firestore's limit."""
LEAST = 0.5
"""The cosine of a passage that isn't like the question at all is below."""
REMEMBERED = 2000
"""Questions whose vectors are at hand."""


class Embeddings(Protocol):
    """Texts → vectors of length 1, one each; see GeminiEmbeddings."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def of(
        self, texts: Sequence[str], task: Literal["RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"]
    ) -> list[list[float]]: ...


class FirestoreKnowledge:
    """See `domain.ports.Knowledge`. `async with` it, in the event loop that uses it: `embeddings` are entered, too."""

    def __init__(
        self,
        embeddings: Embeddings,
        project: str,
        database: str = "(default)",
        endpoint: str = f"{HOST}:443",
        credentials: "Credentials | None" = None,
        insecure: bool = False,
        timeout_s: float = TIMEOUT_S,
        least: float = LEAST,
    ) -> None:
        """As FirestoreDocuments. What is less like a question than `least` (-1 to 1) isn't found. Raises Unavailable
        without the `google` extra."""
        try:
            import google.cloud.firestore_v1  # noqa: F401
        except ImportError as missing:
            raise Unavailable(f"Firestore needs the `google` extra: {missing.name} is not installed") from missing
        self._channels = GrpcChannels["FirestoreAsyncClient"](endpoint, _client, credentials, insecure)
        self._requests = GoogleRequests(NAME, HOST, self._channels, timeout_s)
        self._embeddings = embeddings
        self._name = f"projects/{project}/databases/{database}"
        self._metadata = [("google-cloud-resource-prefix", self._name)]
        if insecure:
            self._metadata.append(("authorization", "Bearer owner"))  # an emulator's word for: no security rules
        self._least = least
        self._vectors: OrderedDict[str, list[float]] = OrderedDict()

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        await self._channels.__aenter__()
        await self._embeddings.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._embeddings.__aexit__()
        await self._channels.__aexit__()

    async def check(self) -> None:
        """Searches nobody's passages, for which both services are asked. Raises Unavailable."""
        [vector] = await self._embeddings.of(["check"], "RETRIEVAL_QUERY")
        await self._nearest("check", vector, (), 1)

    async def keep(self, organisation: str, document: str, title: str, passages: Sequence[str]) -> None:
        by_id = {_id(document, title, text): text for text in passages}
        before = await self._ids(organisation, document)
        new = {id: text for id, text in by_id.items() if id not in before}
        # The title says what it is about, and stands in no passage of its own.
        vectors = await self._embeddings.of([f"{title}\n{text}" for text in new.values()], "RETRIEVAL_DOCUMENT")
        fields = [
            {"document": document, "title": title, "text": text, "vector": vector}
            for text, vector in zip(new.values(), vectors, strict=True)
        ]
        await self._write(organisation, dict(zip(new, fields, strict=True)))
        await self._write(organisation, dict.fromkeys(id for id in before if id not in by_id))

    async def forget(self, organisation: str, document: str) -> None:
        await self._write(organisation, dict.fromkeys(await self._ids(organisation, document)))

    async def search(
        self, organisation: str, query: str, documents: Sequence[str] = ("*",), most: int = 4
    ) -> Sequence[Passage]:
        if not query.strip() or not documents:
            return []
        vector = await self._vector(query)
        if "*" in documents:
            found = await self._nearest(organisation, vector, (), most)
        else:
            some = [documents[at : at + MOST_DOCUMENTS] for at in range(0, len(documents), MOST_DOCUMENTS)]
            each = await asyncio.gather(*(self._nearest(organisation, vector, part, most) for part in some))
            found = [passage for part in each for passage in part]
        likely = [passage for passage in found if passage.score >= self._least]
        return sorted(likely, key=lambda passage: -passage.score)[:most]

    async def _vector(self, query: str) -> list[float]:
        """A question's. What was asked lately isn't asked again."""
        key = " ".join(query.casefold().split())
        if key in self._vectors:
            self._vectors.move_to_end(key)
            return self._vectors[key]
        [vector] = await self._embeddings.of([query], "RETRIEVAL_QUERY")
        self._vectors[key] = vector
        if len(self._vectors) > REMEMBERED:
            self._vectors.popitem(last=False)
        return vector

    # --- requests: each raises Unavailable, ValueError ---

    async def _nearest(
        self, organisation: str, vector: Sequence[float], documents: Sequence[str], most: int
    ) -> list[Passage]:
        from google.cloud.firestore_v1 import types

        kind = types.StructuredQuery
        query = self._query(documents)
        query.select = _projection("document", "title", "text", "score")
        query.find_nearest = kind.FindNearest(
            vector_field=kind.FieldReference(field_path="vector"),
            query_vector=_vector(vector),
            distance_measure=kind.FindNearest.DistanceMeasure.DOT_PRODUCT,  # of vectors of length 1: the cosine
            distance_result_field="score",
            limit=most,
        )
        return [
            Passage(
                document=fields["document"].string_value,
                title=fields["title"].string_value,
                text=fields["text"].string_value,
                score=min(max(fields["score"].double_value, 0.0), 1.0),
            )
            for _, fields in await self._run(organisation, query)
        ]

    async def _ids(self, organisation: str, document: str) -> list[str]:
        """Of the passages that a document has."""
        query = self._query([document])
        query.select = _projection("__name__")
        return [id for id, _ in await self._run(organisation, query)]

    def _query(self, documents: Sequence[str]) -> Any:
        from google.cloud.firestore_v1 import types

        kind = types.StructuredQuery
        query = kind(from_=[kind.CollectionSelector(collection_id="passages")])
        if documents:
            values = types.ArrayValue(values=[types.Value(string_value=each) for each in documents])
            query.where = kind.Filter(
                field_filter=kind.FieldFilter(
                    field=kind.FieldReference(field_path="document"),
                    op=kind.FieldFilter.Operator.IN,
                    value=types.Value(array_value=values),
                )
            )
        return query

    async def _run(self, organisation: str, query: Any) -> list[tuple[str, Mapping[str, Any]]]:
        """Ids and fields."""
        from google.api_core.exceptions import FailedPrecondition
        from google.cloud.firestore_v1 import types

        request = types.RunQueryRequest(parent=self._parent(organisation), structured_query=query)

        async def ask(api: "FirestoreAsyncClient") -> list[tuple[str, Mapping[str, Any]]]:
            answers: Any = await api.run_query(request, **self._options())
            return [
                (answer.document.name.rpartition("/")[2], answer.document.fields)
                async for answer in answers
                if "document" in answer
            ]

        try:
            return await self._requests.make(ask, AGAIN, telling=["FAILED_PRECONDITION"])
        except FailedPrecondition:
            raise Unavailable("Firestore lacks the index for a search: deploy infra/firestore.indexes.json") from None

    async def _write(self, organisation: str, passages: Mapping[str, Mapping[str, Any] | None]) -> None:
        """By id: fields, or None to delete. In several commits, if there are many."""
        from google.cloud.firestore_v1 import types

        writes = []
        for id, fields in passages.items():
            name = f"{self._parent(organisation)}/passages/{id}"
            if fields is None:
                writes.append(types.Write(delete=name))
            else:
                values = {key: _value(value) for key, value in fields.items()}
                writes.append(types.Write(update=types.Document(name=name, fields=values)))
        for at in range(0, len(writes), AT_ONCE):
            request = types.CommitRequest(database=self._name, writes=writes[at : at + AT_ONCE])

            async def ask(api: "FirestoreAsyncClient", request: Any = request) -> None:
                await api.commit(request, **self._options())

            await self._requests.make(ask, AGAIN)

    def _parent(self, organisation: str) -> str:
        if not organisation or "/" in organisation:
            raise ValueError(f"not an organisation's id: {organisation!r}")
        return f"{self._name}/documents/organisations/{organisation}"

    def _options(self) -> dict[str, Any]:
        return {"retry": None, "timeout": self._requests.timeout_s, "metadata": self._metadata}


def _client(channel: Any) -> "FirestoreAsyncClient":
    from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
    from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport

    return FirestoreAsyncClient(transport=FirestoreGrpcAsyncIOTransport(channel=channel))


def _id(document: str, title: str, text: str) -> str:
    """Digests aren't sequential, so that no range of keys runs hot."""
    return hashlib.sha256(f"{document}\n{title}\n{text}".encode()).hexdigest()[:40]


def _projection(*fields: str) -> Any:
    from google.cloud.firestore_v1 import types

    kind = types.StructuredQuery
    return kind.Projection(fields=[kind.FieldReference(field_path=field) for field in fields])


def _value(value: Any) -> Any:
    from google.cloud.firestore_v1 import types

    return types.Value(string_value=value) if isinstance(value, str) else _vector(value)


def _vector(values: Sequence[float]) -> Any:
    """Firestore's vectors are maps with a sign."""
    from google.cloud.firestore_v1 import types

    array = types.ArrayValue(values=[types.Value(double_value=value) for value in values])
    fields = {"__type__": types.Value(string_value="__vector__"), "value": types.Value(array_value=array)}
    return types.Value(map_value=types.MapValue(fields=fields))
