"""Looks the deployment over: what is configured, what runs embedded, what is missing and how to add it."""

import importlib.util
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Literal

from schemas.settings import DEVELOPMENT_AUTH_TOKEN, Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    level: Literal["ok", "note", "bad"]
    what: str
    how: str
    todo: str = ""


EMBEDDED = {
    "pocketsphinx": ("pocketsphinx", "hears expected answers (dates, times, digits, yes and no), not free speech"),
    "espeak": ("espeakng_loader", "a plain, clear voice, offline"),
    "offline": ("", "typed answers and equations, no model"),
    "sqlite": ("", "files in OFFHOOK_HOME"),
    "paced": ("", "a stand-in for measuring: it says the same whatever happens"),
    "gemini": ("google.genai", "Gemini through google-genai"),
}
"""By adapter: the package that it needs, and what it is."""

EXTRA = {"gemini": "google"}


def examine(settings: Settings) -> list[Finding]:
    """Everything, in the order that a caller meets it."""
    return [
        *_carrier(settings),
        *(
            _adapter(port, getattr(settings, port))
            for port in ("speech", "brain", "voice", "documents", "bus", "queue")
        ),
        _gemini(settings),
        _home(settings),
        _port(settings),
    ]


def _carrier(settings: Settings) -> list[Finding]:
    found = []
    if settings.twilio_auth_token == DEVELOPMENT_AUTH_TOKEN:
        todo = "for real calls set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
        found.append(Finding("note", "carrier", "simulated, with the development token", todo))
    else:
        found.append(Finding("ok", "carrier", f"Twilio account {settings.twilio_account_sid}"))
    if not settings.public_url:
        todo = "for real calls set PUBLIC_URL to the https:// address that Twilio reaches"
        found.append(Finding("note", "PUBLIC_URL", f"not set: {' and '.join(settings.public_urls)}", todo))
    else:
        level: Literal["ok", "note"] = "ok" if settings.public_url.startswith("https://") else "note"
        todo = "" if level == "ok" else "Twilio needs https://"
        found.append(Finding(level, "PUBLIC_URL", settings.public_url, todo))
    return found


def _adapter(port: str, name: str) -> Finding:
    package, what = EMBEDDED[name]
    if package and not _installed(package):
        extra = EXTRA.get(name, "embedded")
        return Finding("bad", port, f"{name}: its package is missing", f"pip install 'offhook[{extra}]'")
    return Finding("note" if name == "paced" else "ok", port, f"{name}: {what}")


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _gemini(settings: Settings) -> Finding:
    if settings.gemini_api_key:
        return Finding("ok", "GEMINI_API_KEY", "set, not tried")
    return Finding("note", "GEMINI_API_KEY", "not set", "set it, and the agents understand more than expected answers")


def _home(settings: Settings) -> Finding:
    home = Path(settings.home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as problem:
        return Finding("bad", "OFFHOOK_HOME", f"{home}: {problem.strerror}", "set it to a folder you may write to")
    return Finding("ok", "OFFHOOK_HOME", str(home))


def _port(settings: Settings) -> Finding:
    connection = HTTPConnection("127.0.0.1", settings.port, timeout=2)
    try:
        connection.request("GET", "/health")
        if b'"calls"' in connection.getresponse().read(200):
            return Finding("ok", "PORT", f"Offhook runs on {settings.port}")
    except ConnectionRefusedError:
        return Finding("note", "PORT", f"{settings.port} is free: Offhook is not running", "make run")
    except (OSError, HTTPException):
        pass
    finally:
        connection.close()
    return Finding("bad", "PORT", f"{settings.port} is taken by another program", "set PORT to another")
