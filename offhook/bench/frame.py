"""One WebSocket message of a client's, written without a library: fifty of them a second in every call."""

from struct import pack

try:
    from websockets.speedups import apply_mask
except ImportError:  # where no compiled wheel was to be had
    from websockets.utils import apply_mask

TEXT = 0x81
"""The first byte: final, a text."""
MASKED = 0x80
SHORT, TWO_BYTES = 125, 126


def text_frame(text: bytes, mask: bytes) -> bytes:
    """The frame that carries this text; `mask` is the four bytes that a client's sound is hidden under, which needn't
    change on a connection where nobody listens in. At most 65,535 bytes."""
    size = len(text)
    head = pack("!BB", TEXT, MASKED | size) if size <= SHORT else pack("!BBH", TEXT, MASKED | TWO_BYTES, size)
    return head + mask + apply_mask(text, mask)
