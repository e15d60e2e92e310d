"""Names in Google Cloud that people mistype: what each looks like, by Google's own pages.

Looking right isn't being there: whether it is, only Google can say."""

import re

PROJECT = r"(?:(?:[a-z0-9.-]+:)?[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?|[0-9]+)"
"""A pattern, for use in others: the project's id, if need be behind its domain ("example.com:willow"), or its number. A
real one's id has six characters or more; emulators take any."""
LOCATION = r"[a-z0-9-]+"
"""A pattern, for use in others."""

_PROJECT = re.compile(PROJECT)
_DATABASE = re.compile(r"\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9]")
_QUEUE = re.compile(rf"projects/{PROJECT}/locations/{LOCATION}/queues/[A-Za-z0-9-]{{1,100}}")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com")


def is_project(text: str) -> bool:
    """Whether it may be a project's id or number; its name for people ("Willow Dental") is neither."""
    return bool(_PROJECT.fullmatch(text))


def is_database(text: str) -> bool:
    """Whether Firestore may have a database of this id."""
    return bool(_DATABASE.fullmatch(text))


def is_queue(text: str) -> bool:
    """Whether it may be the full name of a queue of Cloud Tasks: `projects/…/locations/…/queues/…`."""
    return bool(_QUEUE.fullmatch(text))


def is_service_account(text: str) -> bool:
    """Whether it may be a service account's e-mail address."""
    return bool(_ACCOUNT.fullmatch(text))
