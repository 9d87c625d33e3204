"""Requests that reach public addresses only, whatever a name resolves to and wherever a redirect leads.

The operator's file says which hosts are asked. What answers there is somebody else's: it may redirect into the
operator's own network, or let its name resolve to an address in it (server-side request forgery). So each connection
is made to an address that was looked up and judged here, after every redirect anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

from streamwatch.errors import FeedError

_NAT64 = IPv6Network("64:ff9b::/96")


class PublicTransport(httpx.AsyncBaseTransport):
    """Send requests to public addresses, and refuse all others.

    Args:
        allowed: Says of an address whether it may be reached.

    Raises:
        FeedError: A name does not resolve, or only to addresses that are not public.
    """

    def __init__(self, allowed: Callable[[str], bool] | None = None) -> None:
        self._allowed = allowed or is_public
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first of its host's public addresses that takes the connection."""
        host = request.url.raw_host.decode("ascii")
        addresses = await _look_up(host)
        public = [address for address in addresses if self._allowed(address)]
        if not public:
            found = f"{host} is at {', '.join(addresses[:3])}, which is no public address"
            raise FeedError(found, "set private = true for this feed if it is in your own network")
        for address in public[:-1]:
            try:
                return await self._send(request, host, address)
            except httpx.ConnectError:
                continue
        return await self._send(request, host, public[-1])

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _send(self, request: httpx.Request, host: str, address: str) -> httpx.Response:
        """Send a request to an address; its Host header and the certificate that is asked for stay the host's."""
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
        )


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the public Internet's.

    >>> is_public("192.0.43.8"), is_public("127.0.0.1"), is_public("169.254.169.254"), is_public("::ffff:10.0.0.1")
    (True, False, False, False)
    """
    found = ip_address(address.partition("%")[0])
    inner = _inner_address(found) if isinstance(found, IPv6Address) else None
    public = found.is_global and not found.is_multicast
    return public and (inner is None or is_public(str(inner)))


def _inner_address(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a gateway would make of an IPv6 one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


async def _look_up(host: str) -> list[str]:
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no valid name"
        found = f"{host} cannot be looked up ({reason})"
        raise FeedError(found, "check the address and the network") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in answers))
