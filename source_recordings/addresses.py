"""Whether a `base_url` can be asked at all, said before the first request."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
LONGEST_HOST = 253


def problem_of(url: str) -> str | None:
    """What is wrong with the host, the port or the path; None if nothing is. `url` has a scheme and a host."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:  # brackets without an IPv6 address
        return "its host is none"
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.netloc.endswith(":"):
        return "its port must be a number from 1 to 65535"
    if not host.isascii():
        return "its host must be written in ASCII, as xn--..."
    if not _is_host(host):
        return "its host is none"
    if not (parts.path.isascii() and parts.path.isprintable()):
        return "its path has characters that must be percent-encoded"
    return None


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return bool(ip_address(host))
        except ValueError:
            return False
    return len(host) <= LONGEST_HOST and all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))
