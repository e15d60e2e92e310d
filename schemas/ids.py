"""Ids: a prefix that names the noun, then 20 random characters (100 bits), so that no range of keys runs hot."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """`new_id("cnv")` → `cnv_` and 20 characters of Crockford's base 32."""
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(20))
