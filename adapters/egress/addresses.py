"""Where requests may go: what a URL must look like, and which addresses may be connected to. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from urllib.parse import SplitResult, unquote, urlsplit

from domain.errors import InvalidDestination

__all__ = ["REFUSED", "EgressPolicy", "Target", "is_public"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS = frozenset({443, 8443})
REFUSED = "leads to an address that requests may not go to"
"""The same words for every refused address: who tries them one by one learns nothing of the network."""

_URL_CHARACTERS = 2048
_HIDDEN = "https://..."
"""What errors show instead of a URL: it may hold a token, and an error may stand in a log."""
_SHORTEST_SECRET = 6

# Named one by one, because is_global differs between versions of Python and lets some of these pass.
_DENIED_IPV4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32",  # what a large cloud answers its machines on, though it looks public
        ),
    )
)  # fmt: skip
_IPV6_PUBLIC = ipaddress.IPv6Network("2000::/3")
_DENIED_IPV6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
        ),
    )
)  # fmt: skip
# A host that an operator named may be in these; what lies beyond them is never reached by a name alone.
_INTERNAL = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
    )
)
_METADATA = tuple(
    map(ipaddress.ip_network, ("100.100.100.200/32", "fd00:ec2::254/128", "fd20:ce::254/128", "fd00:42::42/128"))
)

_URL_TEXT = re.compile(r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=%._~-]+")
_ENCODED_CONTROL = re.compile(r"%(?:0[0-9a-f]|1[0-9a-f]|7f)", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NAME_AND_PORT = re.compile(r"(?P<host>[^:\[\]]+|\[[0-9a-f:.]+\]):(?P<port>[0-9]{1,5})")
_LOCAL_ENDINGS = (".localhost", ".local", ".localdomain", ".internal", ".arpa", ".lan", ".intranet")


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet: not private, loopback, link-local, metadata, shared (CGNAT),
    multicast, reserved, nor one that carries another address inside (NAT64, 6to4, IPv4-compatible, Teredo)."""
    address = _plain(address)
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _DENIED_IPV4)
    return address in _IPV6_PUBLIC and address.is_global and not any(address in network for network in _DENIED_IPV6)


def _plain(address: Address) -> Address:
    """An IPv4 address in IPv6's clothes as what the kernel connects to."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped if mapped is not None else address


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed the check, taken apart. Its repr shows the host only: path and query may hold a token."""

    scheme: str = field(repr=False)
    host: str
    port: int
    path: str = field(repr=False)
    query: str = field(repr=False)
    trusted: bool = False
    """Whether an operator allowed this very host, by its name or as a literal address."""

    @property
    def url(self) -> str:
        """The URL as it is requested."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{self.authority}{self.path or '/'}{query}"

    @property
    def authority(self) -> str:
        """Host and, where it is not the scheme's own, port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.scheme) else f"{host}:{self.port}"

    @property
    def route(self) -> str:
        """A name of the path at this host, from which the path cannot be read. The query does not count."""
        return blake2b(f"{self.authority}{self.path}".encode(), digest_size=8).hexdigest()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts of the URL that nobody else may read, longest first: what an answer may echo."""
        parts = {self.url, self.path, self.query, *self.path.split("/"), *re.split("[&=]", self.query)}
        parts |= {unquote(part) for part in parts} | {part.replace("/", "\\/") for part in parts}
        return tuple(sorted((part for part in parts if len(part) >= _SHORTEST_SECRET), key=len, reverse=True))


class EgressPolicy:
    """Where requests may go: public addresses, by https, at few ports; beyond these only what an operator allowed.

    ``allowed`` holds names of internal hosts (``hooks.intranet``), addresses or networks (``10.1.0.0/16``), names and
    addresses also with a port (``hooks.intranet:9000``), which is then allowed for that host. A named host may be at a
    private or loopback address; link-local, metadata and multicast addresses are reached only through a network that is
    allowed itself. ``plain_http`` lets what is allowed be reached by http too. Raises ValueError for what is neither a
    name nor a network.
    """

    def __init__(
        self, allowed: Iterable[str] = (), *, ports: Container[int] = DEFAULT_PORTS, plain_http: bool = False
    ) -> None:
        self._names: set[str] = set()
        self._networks: list[Network] = []
        self._places: set[tuple[str, int]] = set()
        self._ports, self._plain_http = ports, plain_http
        for entry in allowed:
            self._allow(entry.strip().lower())

    def _allow(self, entry: str) -> None:
        host = entry
        if parts := _NAME_AND_PORT.fullmatch(entry):
            host = parts["host"].strip("[]")
            self._places.add((host, int(parts["port"])))
        try:
            self._networks.append(ipaddress.ip_network(host))
        except ValueError:
            if not all(_LABEL.fullmatch(label) for label in host.split(".")):
                raise ValueError(
                    f"allowed hosts: {entry!r} is neither a host name nor a network; "
                    "write hooks.intranet, hooks.intranet:9000 or 10.1.0.0/16"
                ) from None
            self._names.add(host)

    def target(self, url: str) -> Target:
        """The URL taken apart, or InvalidDestination, which never shows it. Resolves no name."""
        parts = _split(url)
        host = (parts.hostname or "").lower()
        address = _literal(host)
        trusted = host in self._names if address is None else self._is_allowed(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and self._plain_http and trusted):
            raise _invalid("is not reached by https", "a webhook's address begins with https://")
        if address is not None:
            if not self.permits(address):
                raise _invalid(REFUSED, "use a public https address, or ask the operator to allow the host")
        elif not trusted:
            _check_name(host)
        port = _port(parts)
        if port not in self._ports and (host, port) not in self._places:
            raise _invalid(f"names port {port}", "use a port that is allowed, such as 443")
        return Target(parts.scheme, str(address or host), port, parts.path, parts.query, trusted)

    def permits(self, address: Address, *, named: bool = False) -> bool:
        """Whether a connection to this address may be made; ``named`` when an operator named the host it is for."""
        address = _plain(address)
        if is_public(address) or self._is_allowed(address):
            return True
        return named and any(address in net for net in _INTERNAL) and not any(address in net for net in _METADATA)

    def _is_allowed(self, address: Address) -> bool:
        return any(_plain(address) in network for network in self._networks)


def _split(url: str) -> SplitResult:
    if not url or len(url) > _URL_CHARACTERS:
        raise _invalid(f"has {len(url)} characters", f"a URL has 1 to {_URL_CHARACTERS}")
    if not _URL_TEXT.fullmatch(url) or _ENCODED_CONTROL.search(url):
        raise _invalid(
            "holds characters that no URL may hold (controls, blanks, backslashes, letters beyond ASCII)",
            "write names in their xn-- form and encode other characters as %XX",
        )
    parts = _parsed(url)
    if parts is None or not parts.hostname:
        raise _invalid("names no host, or an impossible port", "write https://host/path")
    if "@" in parts.netloc:
        raise _invalid("holds a user name", "leave out what stands before the @")
    return parts


def _parsed(url: str) -> SplitResult | None:
    """The parts, or None: the error of urlsplit quotes the URL and must not even become the context of ours."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        return None
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else _default_port(parts.scheme)


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _literal(host: str) -> Address | None:
    """The address that a host is written as; None for a name. Odd spellings of an address are refused."""
    if "%" in host:  # an interface of this machine
        raise _invalid(REFUSED, "use a public https address")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]):
        raise _invalid(REFUSED, "use a public https address, or ask the operator to allow the host")
    return None


def _check_name(host: str) -> None:
    bare = host.rstrip(".")
    if "." not in bare or bare.endswith(_LOCAL_ENDINGS):
        raise _invalid(REFUSED, "use a public https address, or ask the operator to allow the host")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise _invalid("names no host that can exist", "write https://host/path, without a dot at the host's end")


def _invalid(problem: str, remedy: str) -> InvalidDestination:
    return InvalidDestination("target", _HIDDEN, problem, remedy)
