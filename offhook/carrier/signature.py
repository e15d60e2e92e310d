"""Twilio's request signature, computed here rather than by Twilio's package: what checks it is not what made it."""

import hmac
from base64 import b64encode
from collections.abc import Mapping


def sign(auth_token: str, url: str, form: Mapping[str, str] | None = None) -> str:
    """The X-Twilio-Signature of a request for exactly this URL with this form. A WebSocket's handshake has no form."""
    signed = url + "".join(f"{name}{value}" for name, value in sorted((form or {}).items()))
    return b64encode(hmac.digest(auth_token.encode(), signed.encode(), "sha1")).decode()
