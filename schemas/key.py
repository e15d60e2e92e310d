"""An API key; only its hash is kept."""

from datetime import datetime

from schemas.model import Model


class Key(Model):
    """An API key. Stored at keys/{SHA-256 of the key, hex}."""

    organisation: str
    name: str
    created_at: datetime
