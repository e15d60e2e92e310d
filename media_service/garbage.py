"""Python's collector of cyclic garbage, kept out of the calls' way."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (700, 5, 2000)
"""Few objects at a time, often, stall nobody for long. A full collection looks at all that every call holds, so it
comes after some seven million objects more, not after seventy thousand."""


@contextmanager
def out_of_the_way() -> Iterator[None]:
    """Enter it when all is loaded: what lives by then is never looked at again while the block runs."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
