"""How many text messages a text makes: GSM 03.38 if its alphabet suffices, else UCS-2."""

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Two places each, which stay together."""


def segments(text: str) -> int:
    """As carriers bill it: 160 places of GSM 03.38 or 70 of UCS-2; of each part of a longer text, 153 or 67."""
    if all(sign in _BASIC or sign in _EXTENDED for sign in text):
        sizes, alone, of_several = [2 if sign in _EXTENDED else 1 for sign in text], 160, 153
    else:
        sizes, alone, of_several = [len(sign.encode("utf-16-le")) // 2 for sign in text], 70, 67
    if sum(sizes) <= alone:
        return 1
    parts, room = 1, of_several
    for size in sizes:
        if size > room:
            parts, room = parts + 1, of_several
        room -= size
    return parts
