"""Gemini itself: how it is reached, what its models can do, and what its refusals mean."""

import asyncio
import re
from typing import TYPE_CHECKING, Any, Self

from adapters.grpc_channels import default_credentials
from domain.ports import Unavailable

if TYPE_CHECKING:  # at run time only if it is chosen: importing it takes a second
    from google.auth.credentials import Credentials
    from google.genai import Client
    from google.genai.errors import APIError

DEFAULT_MODEL = "gemini-3.8-flash"
DEFAULT_LOCATION = "global"
GOOGLE = "https://generativelanguage.googleapis.com/"
KEEP_CONNECTED_S = 60
"""How long an idle connection is kept: a caller's turn is shorter, so that most requests need no new handshake."""
CHECK_S = 10.0
DEADLINE_S = 30
"""What Google is told of how long anybody waits. It refuses less than 10 s (400, "Manually set deadline 5s is too
short"), so the bounds that count are kept by those who ask, by hanging up."""

Json = dict[str, Any]
"""As the SDK takes it: Google's field names in snake case."""


class Gemini:
    """Reached with an API key, or through Vertex AI as a Google Cloud project. `async with` it, in the event loop that
    uses it: leaving closes every connection."""

    def __init__(
        self,
        api_key: str = "",
        project: str = "",
        location: str = "",
        base_url: str = "",
        credentials: "Credentials | None" = None,
    ) -> None:
        """A project means Vertex AI, with the environment's credentials (Application Default Credentials) unless some
        are given, at `location`, which is "global" by default. `base_url` is for a local server; one at http:// gets
        no real credentials. Raises Unavailable with neither or both, or without the `google` extra."""
        try:
            import google.genai  # noqa: F401
            import httpx2  # noqa: F401
        except ImportError as missing:
            raise Unavailable(f"Gemini needs the `google` extra: {missing.name} is not installed") from missing
        if bool(api_key.strip()) == bool(project):
            why = "not both" if project else "make a key at https://aistudio.google.com/apikey"
            raise Unavailable(f"Gemini needs an API key or a Google Cloud project: {why}")
        self.location = location or DEFAULT_LOCATION if project else ""
        self.host = "aiplatform.googleapis.com" if project else "generativelanguage.googleapis.com"
        self._api_key, self._project = api_key, project
        self._base_url = base_url or (_vertex(self.location) if project else GOOGLE)
        self._credentials = credentials
        self._client: Client | None = None

    @property
    def client(self) -> "Client":
        """Within `async with`."""
        assert self._client
        return self._client

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        import httpx2
        from google.genai import Client, types
        from google.oauth2 import credentials as oauth2

        # A transport of our own, because with aiohttp the SDK's timeouts bound a whole stream.
        connections = httpx2.Limits(max_keepalive_connections=100, keepalive_expiry=KEEP_CONNECTED_S)
        options = types.HttpOptions(
            base_url=self._base_url,
            timeout=DEADLINE_S * 1000,
            retry_options=types.HttpRetryOptions(attempts=1),
            async_client_args={"transport": httpx2.AsyncHTTPTransport(limits=connections)},
        )
        # Which of the two is said, and so is the address, lest the SDK look for them in the environment.
        if not self._project:
            self._client = Client(enterprise=False, api_key=self._api_key, http_options=options)
            return self
        if self._credentials is None:
            self._credentials = (
                oauth2.Credentials(token="local")  # type: ignore[no-untyped-call]
                if self._base_url.startswith("http://")
                else await asyncio.to_thread(default_credentials)
            )
        self._client = Client(
            enterprise=True,
            project=self._project,
            location=self.location,
            credentials=self._credentials,
            http_options=options,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aio.aclose()
        self.client.close()

    async def check(self, model: str) -> None:
        """Has the tokens of a word counted, which costs nothing: this alone tells that key or credentials, API,
        location and model go together. Raises Unavailable."""
        try:
            async with asyncio.timeout(CHECK_S):
                await self.client.aio.models.count_tokens(model=model, contents="Hello")
        except TimeoutError:
            raise Unavailable(f"Gemini took more than {CHECK_S:g} s") from None
        except Exception as error:
            raise self.explain(error, model) from None

    def explain(self, error: Exception, model: str) -> Unavailable:
        """What went wrong, and what to do about it. Nothing else of any message is passed on: Google's have been seen
        to repeat the key."""
        from google.auth.exceptions import GoogleAuthError
        from google.genai.errors import APIError
        from httpx2 import TransportError

        match error:
            case APIError():
                why = self._refusal(error, model)
            case GoogleAuthError():
                why = "was not asked, for no token could be had: check the service account and its key"
            case TransportError():
                why = f"could not be reached ({type(error).__name__})"
            case _:
                why = f"could not be understood ({type(error).__name__})"
        return Unavailable(f"Gemini {why}")

    def _refusal(self, error: "APIError", model: str) -> str:
        reason = _reason(error)
        match error.code, error.status:
            case _ if reason.startswith("API_KEY_"):
                return f"did not accept the API key ({reason}): make one at https://aistudio.google.com/apikey"
            case _ if reason in ("SERVICE_DISABLED", "API_DISABLED"):
                return f"is not enabled in the Google Cloud project: run `gcloud services enable {self.host}`"
            case _ if reason == "BILLING_DISABLED":
                return "needs billing: enable it for the Google Cloud project"
            case 401, _:
                return "did not accept the credentials: check the service account and its key"
            case 403, _:
                whom = "give the service account the role Vertex AI User" if self._project else "check the key's limits"
                return f"refused permission ({reason or error.status}): {whom}"
            case 404, _:
                where = f" in {self.location}" if self.location else ""
                return f"has no model {model!r}{where}: it may be retired, or not offered there; choose another"
            case 400, "FAILED_PRECONDITION":
                return "is not offered to this key from this region: enable billing for it, or use Vertex AI"
            case 429, _:
                return f"has no quota left ({reason or error.status}): ask for more, or enable billing"
            case code, status:
                return f"failed ({' '.join(filter(None, (str(code or ''), reason or str(status or ''))))})"


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed at once: a connection was lost, or Google had a fault of its own."""
    from google.genai.errors import ServerError
    from httpx2 import TransportError

    return isinstance(error, (ServerError, TransportError))


def _reason(error: "APIError") -> str:
    """Of the refusal, as a constant such as API_KEY_INVALID; empty without one."""
    match error.details:
        case {"error": {"details": [*details]}}:
            reasons = (str(detail.get("reason", "")) for detail in details if isinstance(detail, dict))
            return next((reason for reason in reasons if re.fullmatch("[A-Z_]+", reason)), "")
    return ""


def _vertex(location: str) -> str:
    """Where Vertex AI answers for a location."""
    match location:
        case "global":
            return "https://aiplatform.googleapis.com/"
        case "us" | "eu":
            return f"https://aiplatform.{location}.rep.googleapis.com/"
    return f"https://{location}-aiplatform.googleapis.com/"


# --- What its models can do ----------------------------------------------------------------------------------------


def generation(model: str) -> tuple[int, int]:
    """`gemini-2.5-flash` → (2, 5). A name without a number ("gemini-flash-latest") means the newest."""
    numbers = re.search(r"gemini-(\d+)(?:\.(\d+))?", model)
    if numbers:
        return int(numbers[1]), int(numbers[2] or 0)
    return (99, 0) if "gemini" in model else (0, 0)


def thinking(model: str) -> Json | None:
    """As little as the model can: the caller is waiting. The large models can't do without; what the other
    generation understands is an error."""
    large = "pro" in model
    if generation(model) >= (3, 0):
        return {"thinking_level": "LOW" if large else "MINIMAL"}
    if generation(model) >= (2, 5):
        return {"thinking_budget": 128 if large else 0}
    return None
