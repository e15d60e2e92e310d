"""Twilio's connection overrides: what the end of a webhook's URL says of timeouts and retries.

Source: Twilio's page "Webhooks: Connection Overrides". They are no part of the request, nor of what is signed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

CAUSES = frozenset({"4xx", "5xx", "ct", "rt"})
"""What another attempt may be made for: such an answer; ct, no connection; rt, no answer on it in time."""
NUMBERS: Mapping[str, tuple[int, int]] = {
    "ct": (100, 10_000),
    "rt": (100, 15_000),
    "tt": (100, 15_000),
    "rc": (0, 5),
}
"""The least and the most that each may be."""
WORDS: Mapping[str, str] = {
    "rp": "|".join(("all", *sorted(CAUSES))),
    "sni": "y|n",
    "e": "[a-z]+(-[a-z]+)*",
}
"""The pattern of one; there may be several, separated by commas."""


@dataclass(frozen=True)
class Overrides:
    """`#ct=2000&rt=4000&rc=3&rp=5xx,ct,rt`: times in ms."""

    connect_ms: int = 5000
    read_ms: int = 15_000
    """For the answer to begin, and between its pieces."""
    total_ms: int = 15_000
    """All attempts together."""
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})
    misunderstood: tuple[str, ...] = ()
    """What Twilio doesn't describe. It is passed over."""

    @classmethod
    def of(cls, url: str) -> "Overrides":
        """Those of a webhook's URL."""
        given: dict[str, str] = {}
        misunderstood: list[str] = []
        for key, value in parse_qsl(url.partition("#")[2], keep_blank_values=True):
            if _is_good(key, value):
                given[key] = value
            else:
                misunderstood.append(f"{key}={value}")
        causes = frozenset(given.get("rp", "ct").split(","))
        return cls(
            connect_ms=int(given.get("ct", cls.connect_ms)),
            read_ms=int(given.get("rt", cls.read_ms)),
            total_ms=int(given.get("tt", cls.total_ms)),
            retries=int(given.get("rc", cls.retries)),
            retry_on=CAUSES if "all" in causes else causes,
            misunderstood=tuple(misunderstood),
        )


def _is_good(key: str, value: str) -> bool:
    if key in NUMBERS:
        least, most = NUMBERS[key]
        return value.isdecimal() and least <= int(value) <= most
    return key in WORDS and all(re.fullmatch(WORDS[key], word) for word in value.split(","))
