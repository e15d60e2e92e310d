"""Documents in Firestore.

**Transactions are optimistic**: a body's reads take no locks and keep no transaction open on the server. The one commit
carries, for every document that was read, the condition that it is still of the version that was read: one round trip
less than Firestore's own transactions, and an instance that dies amidst one leaves nothing locked. A document that was
read and isn't written gets a write that changes nothing, for the sake of its condition; Firestore then leaves its
version as it is, and bills a write.

**What Firestore can't hold** (a list right inside a list, fields named "" or "__x__", more than 20 levels, integers
beyond 64 bits) is kept as JSON in bytes, which no document has otherwise: it comes back as it was, and can't be
searched. Top-level fields whose names Firestore or this adapter claims lie that way in the field `_unnamed`.

**Expiry**: the text in `expires_at` stays as it is. Beside it lies `_expires_at`, the same as a timestamp: Firestore's
TTL policies, which `infra/firestore.indexes.json` declares, look at nothing else.

This speaks through the generated client rather than `google.cloud.firestore.AsyncClient`: that one finds an emulator by
the environment alone, and sets no bounds to the requests of its transactions."""

import asyncio
import base64
import hashlib
import operator
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, TypeVar

import orjson

from adapters.google_request import GoogleRequests
from adapters.grpc_channels import GrpcChannels
from domain.expiry import expiry_of
from domain.ports import Document, Found, Page, Taken, Transaction, Unavailable, Where

if TYPE_CHECKING:  # at run time only if it is chosen: importing them takes a second
    from google.auth.credentials import Credentials
    from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient

T = TypeVar("T")

NAME, HOST = "Firestore", "firestore.googleapis.com"
TIMEOUT_S = 4.0
"""For one request, its repetitions included. A caller waits meanwhile."""
ATTEMPTS = 20
"""How often a transaction's body is run before it is given up."""
PAUSE_S = 0.02
"""The longest pause before a transaction's second attempt; it doubles with each further one."""
LONGEST_PAUSE_S = 0.3
DEEPEST = 20
"""Levels of maps and lists in one field: Firestore's limit."""
LONGEST_NAME = 1500
"""Of a field, in bytes: Firestore's limit."""
UNNAMED, EXPIRES_AT = "_unnamed", "_expires_at"

Fields = dict[str, Any]
"""Firestore's values by name; a value is a protobuf message."""


class FirestoreDocuments:
    """See `domain.ports.Documents`. `async with` it, in the event loop that uses it.

    Raises ValueError as well for what Firestore refuses to keep, such as a document of more than 1 MiB. A write whose
    confirmation was lost is repeated where that does no harm; where it would, Unavailable says so."""

    def __init__(
        self,
        project: str,
        database: str = "(default)",
        endpoint: str = f"{HOST}:443",
        credentials: "Credentials | None" = None,
        insecure: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """For `endpoint` (host:port), `credentials` and `insecure`, which an emulator wants, see GrpcChannels. A
        request that takes longer than `timeout_s` is Unavailable. Raises Unavailable without the `google` extra."""
        try:
            import google.cloud.firestore_v1  # noqa: F401
        except ImportError as missing:
            raise Unavailable(f"Firestore needs the `google` extra: {missing.name} is not installed") from missing
        self._channels = GrpcChannels["FirestoreAsyncClient"](endpoint, _client, credentials, insecure)
        name = f"projects/{project}/databases/{database}"
        requests = GoogleRequests(NAME, HOST, self._channels, timeout_s)
        self._database = _Database(name, requests, insecure)

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        await self._channels.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channels.__aexit__()

    async def check(self) -> None:
        """Asks for a document that doesn't exist. Raises Unavailable."""
        await self.get("checks/check")

    async def check_writing(self) -> None:
        """Writes a document and deletes it. Raises Unavailable. Cancelled, the one document may stay."""
        await self.put("checks/writing", {})
        await self.delete("checks/writing")

    async def get(self, path: str) -> Document | None:
        [version] = await self._database.read([path])
        return version.document()

    async def create(self, path: str, document: Document) -> None:
        from google.api_core.exceptions import AlreadyExists

        try:
            await self._database.commit([_Write(path, _encode_document(document), ABSENT)], again=WRITTEN_AGAIN)
        except AlreadyExists:
            raise Taken(path) from None

    async def put(self, path: str, document: Document) -> None:
        await self._database.commit([_Write(path, _encode_document(document))], again=WRITTEN_AGAIN)

    async def delete(self, path: str) -> None:
        await self._database.commit([_Write(path, None)], again=WRITTEN_AGAIN)

    async def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order: str = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        _check_query(collection, where, order, limit)
        mark = _mark(collection, where, order)
        after = None if cursor is None else _read_cursor(cursor, mark, order)
        # Firestore sorts by what it compares with < or >. Such a condition on any field but the one to sort by is left
        # to us, at the price of every document that we pass over.
        ours = [each for each in where if each.op != "==" and each.field != order.removeprefix("-")]
        theirs = [each for each in where if each not in ours]
        # One more than the limit tells whether there are more.
        query = _query(self._database.root, collection, theirs, order, None if ours else limit + 1, after)
        found = await self._database.find(collection, query, ours, limit + 1)
        page = found[:limit]
        return Page(page, _write_cursor(mark, order, page[-1]) if len(found) > limit else None)

    async def transact(self, body: Callable[[Transaction], Awaitable[T]]) -> T:
        """Cancelled, it has written all or nothing. Raises Unavailable as well when others were always faster."""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(random.uniform(0, min(PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)))
            transaction = _Transaction(self._database)
            try:
                result = await body(transaction)
            except Unavailable:
                raise
            except Exception:
                # Its reason may lie in two documents that were read before and after somebody's commit.
                if await transaction.is_whole():
                    raise
                continue
            if await transaction.commit():
                return result
        raise Unavailable(f"a transaction was overtaken {ATTEMPTS} times")


# --- Requests ---------------------------------------------------------------------------------------------------------

READ_AGAIN = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "ABORTED")
"""gRPC's names of failures that a repetition may not meet."""
COMMITTED_AGAIN = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
WRITTEN_AGAIN = (*COMMITTED_AGAIN, "ABORTED")
TELLING = ("ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED")
"""What becomes of conditions that aren't met."""

ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class _Version:
    """A document as it was when it was read."""

    fields: Fields | None
    """None if it didn't exist."""
    condition: Any
    """What must be so for this version to be the present one: ABSENT, or when it was written, as Firestore tells it."""

    def document(self) -> Document | None:
        return None if self.fields is None else _decode_document(self.fields)


@dataclass(frozen=True, slots=True)
class _Write:
    path: str
    fields: Fields | None
    """What it becomes; None for deleted."""
    condition: Any = None
    """As in _Version."""
    changes: bool = True
    """False: only the condition matters."""


class _Database:
    """One database's requests, each within its time. Cancelled, a request is over at once, whatever became of it."""

    def __init__(self, name: str, requests: GoogleRequests["FirestoreAsyncClient"], insecure: bool) -> None:
        self.root = f"{name}/documents"
        self._name = name
        self._requests = requests
        self._metadata = [("google-cloud-resource-prefix", name)]
        if insecure:
            self._metadata.append(("authorization", "Bearer owner"))  # an emulator's word for: no security rules

    async def read(self, paths: Sequence[str]) -> list[_Version]:
        """In that order. Raises Unavailable, ValueError."""
        if not paths:
            return []
        names = [self._document_name(path) for path in paths]
        # Asked for one at a time, a document that is missing would look the same as a database that is.
        request = _request("BatchGetDocumentsRequest", database=self._name, documents=names)

        async def ask(api: "FirestoreAsyncClient") -> dict[str, Any]:
            answers = await api.batch_get_documents(request, **self._options())
            found = [_raw(answer).found async for answer in answers if "found" in answer]
            return {each.name: each for each in found}

        found = await self._requests.make(ask, READ_AGAIN)
        versions = []
        for name in names:
            known = found.get(name)
            versions.append(_Version(dict(known.fields), known.update_time) if known else _Version(None, ABSENT))
        return versions

    async def find(self, collection: str, query: Any, conditions: Sequence[Where], most: int) -> list[Found]:
        """What meets the conditions among what the query finds. Raises Unavailable, ValueError."""
        from google.api_core.exceptions import FailedPrecondition

        parent, _, _ = f"{self.root}/{collection}".rpartition("/")
        request = _request("RunQueryRequest", parent=parent, structured_query=query)

        async def ask(api: "FirestoreAsyncClient") -> list[Found]:
            found: list[Found] = []
            answers: Any = await api.run_query(request, **self._options())
            try:
                async for answer in answers:
                    if "document" in answer:
                        raw = _raw(answer).document
                        document = _decode_document(raw.fields)
                        if all(_meets(document, condition) for condition in conditions):
                            found.append(Found(raw.name.removeprefix(f"{self.root}/"), document))
                    if len(found) == most:
                        break
            finally:
                answers.cancel()  # does nothing to one that ended
            return found

        try:
            return await self._requests.make(ask, READ_AGAIN, telling=["FAILED_PRECONDITION"])
        except FailedPrecondition:
            raise Unavailable("Firestore lacks the index for a query: deploy infra/firestore.indexes.json") from None

    async def commit(self, writes: Sequence[_Write], again: Sequence[str] = COMMITTED_AGAIN) -> None:
        """All or none. Raises AlreadyExists, FailedPrecondition, Aborted (Google's); NotFound, if a document that must
        be of some version may be gone; Unavailable, ValueError."""
        from google.api_core.exceptions import Aborted, AlreadyExists, FailedPrecondition, NotFound, ServiceUnavailable

        request = _request("CommitRequest", database=self._name, writes=[self._pb_write(write) for write in writes])

        async def ask(api: "FirestoreAsyncClient") -> None:
            await api.commit(request, **self._options())

        # What else isn't found is the database.
        may_be_gone = any(write.condition not in (None, ABSENT) for write in writes)
        failures: list[Exception] = []
        try:
            await self._requests.make(ask, again, (*TELLING, "NOT_FOUND") if may_be_gone else TELLING, failures)
        except (Aborted, AlreadyExists, FailedPrecondition, NotFound):
            if any(isinstance(failure, ServiceUnavailable) for failure in failures):
                # It may be what an earlier attempt wrote that is in the way.
                raise Unavailable("Firestore's answer was lost: whether it was written is unknown") from None
            raise

    def _options(self) -> dict[str, Any]:
        return {"retry": None, "timeout": self._requests.timeout_s, "metadata": self._metadata}

    def _document_name(self, path: str) -> str:
        return f"{self.root}/{_check_path(path)}"

    def _pb_write(self, write: _Write) -> Any:
        pb, name = _pb(), self._document_name(write.path)
        if write.fields is None and write.changes:
            one = pb.Write(delete=name)
        elif write.changes:
            one = pb.Write(update=pb.Document(name=name, fields=write.fields))
        elif write.condition == ABSENT:
            one = pb.Write(delete=name)
        else:
            one = pb.Write(update=pb.Document(name=name), update_mask=pb.DocumentMask())
        if write.condition == ABSENT:
            one.current_document.exists = False
        elif write.condition is not None:
            one.current_document.update_time.CopyFrom(write.condition)
        return one


def _client(channel: Any) -> "FirestoreAsyncClient":
    from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
    from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport

    return FirestoreAsyncClient(transport=FirestoreGrpcAsyncIOTransport(channel=channel))


@cache
def _pb() -> SimpleNamespace:
    """Firestore's messages without their wrappers, which take several times as long."""
    from google.cloud.firestore_v1 import types

    values = ("ArrayValue", "Document", "DocumentMask", "MapValue", "Value", "Write")
    requests = ("BatchGetDocumentsRequest", "CommitRequest", "Cursor", "RunQueryRequest", "StructuredQuery")
    return SimpleNamespace(**{kind: getattr(types, kind).pb() for kind in values + requests})


def _request(kind: str, **content: Any) -> Any:
    from google.cloud.firestore_v1 import types

    return getattr(types, kind).wrap(getattr(_pb(), kind)(**content))


def _raw(message: Any) -> Any:
    return type(message).pb(message)


# --- Transactions -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Change:
    """What a transaction does to one document, in sum."""

    fields: Fields | None
    """What it becomes."""
    new: bool
    """Whether it must not have existed before."""


class _Transaction:
    def __init__(self, database: _Database) -> None:
        self._database = database
        self._read: dict[str, _Version] = {}
        self._changes: dict[str, _Change] = {}
        self._taken = ""
        """The path of a document that the transaction itself makes twice."""

    async def get(self, path: str) -> Document | None:
        if self._changes:
            raise RuntimeError("a transaction reads before it writes")
        if path not in self._read:
            [self._read[path]] = await self._database.read([path])
        return self._read[path].document()

    def create(self, path: str, document: Document) -> None:
        known = self._changes.get(path)
        if known and known.fields is not None:
            self._taken = self._taken or path
        self._change(path, _encode_document(document), new=True)

    def put(self, path: str, document: Document) -> None:
        self._change(path, _encode_document(document))

    def delete(self, path: str) -> None:
        self._change(path, None)

    def _change(self, path: str, fields: Fields | None, new: bool = False) -> None:
        known = self._changes.get(_check_path(path))
        self._changes[path] = _Change(fields, known.new if known else new)

    async def is_whole(self) -> bool:
        """Was all that was read so at the same time? One document always was."""
        return len(self._read) < 2 or await self._is_fresh()

    async def _is_fresh(self) -> bool:
        now = await self._database.read([*self._read])
        return [version.condition for version in now] == [version.condition for version in self._read.values()]

    async def commit(self) -> bool:
        """Writes if all that was read is still so, and says whether it was. Raises Taken, Unavailable."""
        from google.api_core.exceptions import Aborted, AlreadyExists, FailedPrecondition, NotFound

        if not self._changes:
            return await self._is_fresh()
        new = [path for path, change in self._changes.items() if change.new]
        if self._taken or any(self._read[path].fields is not None for path in new if path in self._read):
            return await self._is_taken(new)
        try:
            await self._database.commit(self._writes())
        except AlreadyExists:
            return await self._is_taken(new)
        except (Aborted, FailedPrecondition, NotFound):
            return False
        return True

    def _writes(self) -> list[_Write]:
        writes = []
        for path, change in self._changes.items():
            read = self._read.get(path)
            writes.append(_Write(path, change.fields, read.condition if read else ABSENT if change.new else None))
        for path, version in self._read.items():
            if path not in self._changes:
                writes.append(_Write(path, None, version.condition, changes=False))
        return writes

    async def _is_taken(self, new: Sequence[str]) -> bool:
        """Raises Taken if what was read is still so; False if it isn't, or the one in the way is gone."""
        if await self._is_fresh():
            existing = [
                path for path, now in zip(new, await self._database.read(new), strict=True) if now.fields is not None
            ]
            if existing or self._taken:
                raise Taken([*existing, self._taken][0])
        return False


# --- Documents as Firestore has them ----------------------------------------------------------------------------------


def _check_path(path: str) -> str:
    segments = path.split("/")
    if len(segments) % 2 or not all(segments):
        raise ValueError(f"not the path of a document: {path!r}")
    return path


def _encode_document(document: Document) -> Fields:
    """Raises TypeError for anything but JSON values, ValueError for an expiry that is no time."""
    text = orjson.dumps(document, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS)
    fields: Fields = {}
    unnamed: Document = {}
    for name, value in orjson.loads(text).items():
        if _is_name(name) and name not in (UNNAMED, EXPIRES_AT):
            fields[name] = _encode(value)
        else:
            unnamed[name] = value
    if unnamed:
        fields[UNNAMED] = _as_bytes(unnamed)
    if expiry := expiry_of(document):
        fields[EXPIRES_AT] = _pb().Value()
        fields[EXPIRES_AT].timestamp_value.FromDatetime(expiry)
    return fields


def _encode(value: Any, level: int = 1) -> Any:
    made = _value(value, level)
    return _as_bytes(value) if made is None else made


def _value(value: Any, level: int) -> Any:
    """None for what Firestore can't hold."""
    pb = _pb()
    match value:
        case None:
            return pb.Value(null_value=0)
        case bool():
            return pb.Value(boolean_value=value)
        case int():
            return pb.Value(integer_value=value) if -(2**63) <= value < 2**63 else None
        case float():
            return pb.Value(double_value=value)
        case str():
            return pb.Value(string_value=value)
        case list() if level <= DEEPEST:
            values = [_as_bytes(each) if isinstance(each, list) else _encode(each, level + 1) for each in value]
            return pb.Value(array_value=pb.ArrayValue(values=values))
        case dict() if level <= DEEPEST and all(map(_is_name, value)):
            fields = {name: _encode(each, level + 1) for name, each in value.items()}
            return pb.Value(map_value=pb.MapValue(fields=fields))
    return None


def _as_bytes(value: Any) -> Any:
    return _pb().Value(bytes_value=orjson.dumps(value))


def _is_name(name: str) -> bool:
    return bool(name) and not re.fullmatch(r"__.*__", name, re.DOTALL) and len(name.encode()) <= LONGEST_NAME


def _decode_document(fields: Mapping[str, Any]) -> Document:
    document = {name: _decode(value) for name, value in fields.items() if name != EXPIRES_AT}
    unnamed: Document = document.pop(UNNAMED, {})
    return document | unnamed


def _decode(value: Any) -> Any:
    match value.WhichOneof("value_type"):
        case "null_value":
            return None
        case "array_value":
            return [_decode(each) for each in value.array_value.values]
        case "map_value":
            return {name: _decode(each) for name, each in value.map_value.fields.items()}
        case "bytes_value":
            return orjson.loads(value.bytes_value)
        case kind:
            return getattr(value, kind)


# --- Queries ----------------------------------------------------------------------------------------------------------

_OPERATORS = {
    "==": "EQUAL",
    "<": "LESS_THAN",
    "<=": "LESS_THAN_OR_EQUAL",
    ">": "GREATER_THAN",
    ">=": "GREATER_THAN_OR_EQUAL",
}


def _check_query(collection: str, where: Sequence[Where], order: str, limit: int) -> None:
    segments = collection.split("/")
    if not len(segments) % 2 or not all(segments):
        raise ValueError(f"not the path of a collection: {collection!r}")
    if limit < 1:
        raise ValueError(f"no page has {limit} documents")
    for field in [each.field for each in where] + ([order.removeprefix("-")] if order else []):
        # Firestore would take much else for a path into maps.
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", field) or not _is_name(field):
            raise ValueError(f"not the name of a field: {field!r}")
    for each in where:
        if each.op not in _OPERATORS or (each.value is None and each.op != "=="):
            raise ValueError(f"not a comparison: {each.op!r} {each.value!r}")
        too_long = isinstance(each.value, int) and not -(2**63) <= each.value < 2**63
        if too_long or not isinstance(each.value, str | int | float | None):
            raise ValueError(f"nothing is compared with {each.value!r}")


def _query(
    root: str,
    collection: str,
    where: Sequence[Where],
    order: str,
    limit: int | None = None,
    after: Sequence[Any] | None = None,
) -> Any:
    """`after` is a sort key."""
    pb = _pb()
    kind = pb.StructuredQuery
    _, _, last_segment = f"/{collection}".rpartition("/")
    query = kind(from_=[kind.CollectionSelector(collection_id=last_segment)])
    if limit is not None:
        query.limit.value = limit
    filters = [_filter(each) for each in where]
    if len(filters) == 1:
        query.where.CopyFrom(filters[0])
    elif filters:
        query.where.CopyFrom(
            kind.Filter(composite_filter=kind.CompositeFilter(op=kind.CompositeFilter.AND, filters=filters))
        )
    direction = kind.DESCENDING if order.startswith("-") else kind.ASCENDING
    for field in [*([order.removeprefix("-")] if order else []), "__name__"]:
        query.order_by.append(kind.Order(field=kind.FieldReference(field_path=field), direction=direction))
    if after is not None:
        *values, id = after
        last = pb.Value(reference_value=f"{root}/{collection}/{id}")
        query.start_at.CopyFrom(pb.Cursor(values=[*map(_encode, values), last], before=False))
    return query


def _filter(where: Where) -> Any:
    kind = _pb().StructuredQuery
    field = kind.FieldReference(field_path=where.field)
    if where.value is None:
        return kind.Filter(unary_filter=kind.UnaryFilter(field=field, op=kind.UnaryFilter.IS_NULL))
    op = kind.FieldFilter.Operator.Value(_OPERATORS[where.op])
    return kind.Filter(field_filter=kind.FieldFilter(field=field, op=op, value=_encode(where.value)))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _meets(document: Document, where: Where) -> bool:
    """As Firestore compares: only values of one type."""
    value = document.get(where.field)
    return _type(value) == _type(where.value) != "" and _COMPARE[where.op](value, where.value)


def _type(value: Any) -> str:
    """Empty for what isn't compared."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
    return ""


def _id(found: Found) -> str:
    return found.path.rpartition("/")[2]


# A cursor holds the sort key of the last document found, and a mark of the query to which it belongs.


def _mark(collection: str, where: Sequence[Where], order: str) -> str:
    return hashlib.sha256(repr((collection, tuple(where), order)).encode()).hexdigest()[:12]


def _write_cursor(mark: str, order: str, last: Found) -> str:
    value = [last.document[order.removeprefix("-")]] if order else []
    key = [mark, *value, _id(last)]
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def _read_cursor(cursor: str, mark: str, order: str) -> list[Any]:
    """The sort key. Raises ValueError for a cursor that wasn't written for this query."""
    try:
        content = orjson.loads(base64.urlsafe_b64decode(cursor + "=="))
    except ValueError:
        content = None
    if not isinstance(content, list) or content[:1] != [mark] or len(content) != (3 if order else 2):
        raise ValueError(f"not a cursor of this query: {cursor!r}")
    if not isinstance(content[-1], str) or not content[-1] or "/" in content[-1]:
        raise ValueError(f"not a cursor of this query: {cursor!r}")
    return content[1:]
