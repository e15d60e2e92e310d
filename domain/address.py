"""Which addresses of the network are everybody's, and which lead into somebody's own."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL = IPv6Network("2000::/3")
_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "100.64.0.0/10",  # carriers' own, and some clouds' metadata
            "168.63.129.16/32",  # Azure's metadata
            "192.0.0.0/24",  # protocol assignments, and Oracle's metadata
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # Teredo, ORCHID and the like
            "2001:db8::/32",
            "3fff::/20",
        ),
    )
)
"""Beyond what the standard library tells, whose releases differ."""


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet's. One that embeds an IPv4 address is judged by that."""
    try:
        address = _inner(ip_address(text))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address not in _GLOBAL:
        return False
    if address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global:
        return False
    return not any(address in network for network in _NOT_PUBLIC if network.version == address.version)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
