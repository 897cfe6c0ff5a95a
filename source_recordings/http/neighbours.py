"""Addresses that only this machine and its neighbours reach: a cloud's metadata service is one, and gives out credentials."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_NEIGHBOURS = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # link-local; metadata of AWS, Azure, Google and others
            "fe80::/10",
            "fd00:ec2::/32",  # metadata of AWS
            "100.100.100.200/32",  # of Alibaba
            "192.0.0.192/32",  # of Oracle
        ),
    )
)
# Behind these prefixes an IPv6 address ends with an IPv4 one.
_WITH_IPV4 = tuple(map(ip_network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))


class Neighbour(Exception):
    """The host is next to this machine, where no file of a provider is."""


def is_neighbour(host: str) -> bool:
    """Whether the host's address is such a one, in any way to write it. A name is none: see `resolves_to_neighbour`."""
    address = _literal(host)
    if address is None:
        return False
    found: list[IPv4Address | IPv6Address] = [address]
    if isinstance(address, IPv6Address):
        if any(address in network for network in _WITH_IPV4):
            found.append(IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour:
            found.append(address.sixtofour)
    return any(one in network for one in found for network in _NEIGHBOURS)


def resolves_to_neighbour(host: str, port: int | None = None) -> bool:
    try:
        return any(is_neighbour(address) for address in _addresses(host, port))
    except (OSError, UnicodeError):
        return False  # to connect says what is wrong with it


def _addresses(host: str, port: int | None) -> Iterator[str]:
    for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        yield str(address[0])


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    bare = host.strip("[]").partition("%")[0].rstrip(".")
    try:
        return ip_address(bare)
    except ValueError:
        pass
    try:
        # 0xa9fea9fe, 2852039166, 0251.254.43518: a resolver reads them as well.
        return IPv4Address(socket.inet_aton(bare))
    except (OSError, ValueError):
        return None


class _Guarded:
    """Looks at the addresses before it connects, and at the one that it got: a name may have another one by then."""

    def _new_conn(self) -> Any:
        own: Any = self
        if resolves_to_neighbour(own._dns_host, own.port):
            raise Neighbour
        connected: Any = super()._new_conn()  # type: ignore[misc]
        if is_neighbour(str(connected.getpeername()[0])):
            connected.close()
            raise Neighbour
        return connected


class _HTTP(_Guarded, HTTPConnection):
    pass


class _HTTPS(_Guarded, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class GuardedAdapter(HTTPAdapter):
    """Connects to no neighbour. Where there is a proxy, it is the proxy that connects."""

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
