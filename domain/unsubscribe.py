"""The link by which the recipient of an e-mail wants no more: signed, opaque, good while the message is kept."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from urllib.parse import urlencode

PATH = "/m/unsubscribe"


def link(public_url: str, organisation: str, message: str, secret: str) -> str:
    """Says nothing of who it is for to those who see it pass."""
    query = {"o": organisation, "m": message, "s": _signature(organisation, message, secret)}
    return f"{public_url}{PATH}?{urlencode(query)}"


def is_ours(organisation: str, message: str, signature: str, secret: str) -> bool:
    """Whether we signed a link with these."""
    return hmac.compare_digest(_signature(organisation, message, secret).encode(), signature.encode())


def _signature(organisation: str, message: str, secret: str) -> str:
    """With a key made of the secret for nothing else: no ticket will do as a link, and no link as a ticket."""
    key = hmac.digest(secret.encode(), b"unsubscribe", "sha256")
    signed = hmac.digest(key, f"{organisation}\n{message}".encode(), hashlib.sha256)
    return urlsafe_b64encode(signed).decode().rstrip("=")
