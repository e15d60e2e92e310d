"""What an edge of the kind `event` may name, and when it has happened.

| event | happens |
|---|---|
| `failed` | a tool, message, transfer, handoff failed; of a transfer also `failed:busy`, `…:no-answer`, `…:declined` |
| `cancelled` | the caller no longer wants the tool that runs |
| `misunderstood` | an answer wasn't understood and all retries are used up; `misunderstood:2` at the second miss |
| `corrected` | the caller changed a value that was set |
| `silence` | the caller said nothing, and was asked twice; `silence:1` at the first time |
| `key:5` | the caller pressed a key: 0-9, * or # |
| `human`, `goodbye` | the caller wants a person, or takes leave |
"""

import re

_EVENT = re.compile(
    r"failed(:(busy|no-answer|declined|canceled))?|cancelled|misunderstood(:[1-9])?|corrected|silence(:[1-9])?"
    r"|key:[0-9*#]|human|goodbye"
)


def is_event(name: str) -> bool:
    """Whether there is such an event."""
    return _EVENT.fullmatch(name) is not None


def kind_of(name: str) -> str:
    """`key:5` → `key`."""
    return name.partition(":")[0]
