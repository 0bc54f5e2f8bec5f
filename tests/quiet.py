"""Refuse connections that leave this machine: a test that needs the network is a wrong test.

It holds for every socket that Python opens in the test process. libuv's sockets and child processes are out of its
reach; that only few modules open connections at all is checked by tests/arch.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

_NAMES = {"localhost", "", None}
"""Host names that may be resolved; everything else would ask a name server."""


class LeavesTheMachine(RuntimeError):
    """A test tried to reach something that is not on loopback."""


def is_loopback(host: object) -> bool:
    """Whether ``host``, a name or an address, is this machine's own."""
    if isinstance(host, bytes | bytearray):
        host = host.decode("ascii", "replace")
    if host in _NAMES:
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def check(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook. Raises LeavesTheMachine."""
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        sock, address = arguments
        if sock.family in {socket.AF_INET, socket.AF_INET6} and address is not None and not is_loopback(address[0]):
            raise LeavesTheMachine(
                f"{event} to {address[0]}: tests reach loopback only; use the stand-in (tests/stand_in.py)"
            )
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"} and not is_loopback(arguments[0]):
        raise LeavesTheMachine(
            f"{event} of {arguments[0]!r}: tests resolve no names; use the stand-in (tests/stand_in.py)"
        )


def refuse_the_network() -> None:
    """Install the hook for the rest of the process; there is no way back, and none is wanted."""
    sys.addaudithook(check)
