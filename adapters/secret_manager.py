"""Settings kept in Google's Secret Manager: a value `sm://projects/…/secrets/…` stands for what is kept there."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.google_refusal import explain
from adapters.grpc_channels import default_credentials
from domain.ports import Unavailable
from schemas.google_names import LOCATION, PROJECT

if TYPE_CHECKING:  # at run time only if a setting is a secret of Google's: importing it takes a second
    from google.auth.credentials import Credentials

HOST = "secretmanager.googleapis.com"
SERVICE = "Google Secret Manager"
SCHEME = "sm://"
ATTEMPT_S = 5.0
WITHIN_S = 15.0

_NAME = re.compile(
    rf"projects/{PROJECT}/(?:locations/{LOCATION}/)?secrets/[\w-]{{1,255}}(?P<version>/versions/\w[\w-]*)?"
)


def reveal(
    settings: Mapping[str, str],
    endpoint: str = f"{HOST}:443",
    credentials: "Credentials | None" = None,
    *,
    insecure: bool = False,
    attempt_s: float = ATTEMPT_S,
    within_s: float = WITHIN_S,
) -> dict[str, str]:
    """The settings, by name, with secrets in the place of values like `sm://projects/P/secrets/S/versions/V`. Without
    a version the latest is meant; a line's end behind a secret isn't part of it.

    Blocks, some 100 ms a secret: it is for the start. Without credentials the environment's are used; `insecure` is
    for a local server. Raises ValueError for a value that names no secret, Unavailable; both name the setting and
    neither any secret."""
    names = {setting: _name(setting, value) for setting, value in settings.items() if value.startswith(SCHEME)}
    if not names:
        return dict(settings)
    channel = _channel(endpoint, credentials, insecure)
    try:
        found = {name: _read(channel, setting, name, attempt_s, within_s) for setting, name in names.items()}
    finally:
        channel.close()
    return {**settings, **{setting: found[name] for setting, name in names.items()}}


def _name(setting: str, value: str) -> str:
    name = value.removeprefix(SCHEME)
    if not (match := _NAME.fullmatch(name)):
        raise ValueError(f"{setting}: a secret is named {SCHEME}projects/PROJECT/secrets/NAME/versions/VERSION")
    return name if match["version"] else f"{name}/versions/latest"


def _channel(endpoint: str, credentials: "Credentials | None", insecure: bool) -> Any:
    try:
        import grpc  # type: ignore[import-untyped]
        from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
            SecretManagerServiceGrpcTransport,
        )
    except ImportError as missing:
        raise Unavailable(f"{SERVICE} needs the `google` extra: {missing.name} is not installed") from missing

    if insecure:
        return grpc.insecure_channel(endpoint)
    credentials = credentials or default_credentials()
    return SecretManagerServiceGrpcTransport.create_channel(endpoint, credentials=credentials)


def _read(channel: Any, setting: str, name: str, attempt_s: float, within_s: float) -> str:
    from google.api_core import exceptions as google
    from google.api_core.retry import Retry, if_exception_type
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceGrpcTransport,
    )

    client = SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
    again = Retry(
        if_exception_type(google.ServiceUnavailable, google.DeadlineExceeded, google.InternalServerError),
        initial=0.1,
        maximum=1.0,
        timeout=within_s,
    )
    try:
        answer = again(lambda: client.access_secret_version(name=name, retry=None, timeout=attempt_s))()
        return str(answer.payload.data.decode()).rstrip("\r\n")
    except google.NotFound:
        raise Unavailable(f"{setting}: {SERVICE} has no {name!r}: create it") from None
    except google.FailedPrecondition:
        raise Unavailable(
            f"{setting}: {name!r} is disabled or destroyed in {SERVICE}: enable or add a version"
        ) from None
    except google.RetryError as error:
        if isinstance(error.cause, google.GoogleAPICallError):
            raise Unavailable(f"{setting}: {explain(error.cause, SERVICE, HOST)}") from None
        raise Unavailable(f"{setting}: {SERVICE} took too long") from None
    except google.GoogleAPICallError as error:
        raise Unavailable(f"{setting}: {explain(error, SERVICE, HOST)}") from None
    except UnicodeDecodeError:
        raise Unavailable(f"{setting}: {name!r} in {SERVICE} isn't text") from None
