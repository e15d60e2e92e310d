"""How a measurement's process ends with the one that started it, however that one ended."""

import sys
from collections.abc import Callable
from threading import Thread


def end_with_parent(end: Callable[[], object]) -> None:
    """Calls `end`, in a thread of its own, when standard input is closed."""

    def wait() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        end()

    Thread(target=wait, name="lifeline", daemon=True).start()
