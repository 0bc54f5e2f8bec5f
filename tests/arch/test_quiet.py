"""The test process reaches loopback only; see tests/quiet.py."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.quiet import LeavesTheMachine, is_loopback

OUTSIDE = "192.0.2.1"  # a documentation address: nobody answers there


def test_connections_that_leave_are_refused() -> None:
    with socket.socket() as sock, pytest.raises(LeavesTheMachine, match=r"192\.0\.2\.1: tests reach loopback only"):
        sock.connect((OUTSIDE, 80))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(LeavesTheMachine):
        sock.sendto(b"x", (OUTSIDE, 53))


def test_names_are_not_resolved() -> None:
    with pytest.raises(LeavesTheMachine, match="resolve no names"):
        socket.getaddrinfo("example.org", 443)
    with pytest.raises(LeavesTheMachine):
        asyncio.run(asyncio.wait_for(asyncio.open_connection("example.org", 443), 5))


def test_loopback_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        assert sock.getpeername() == server.getsockname()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", b"127.0.0.1", None, ""])
def test_what_is_loopback(host: object) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "example.org", "127.0.0.1.example.org", "fe80::1%lo"])
def test_what_is_not(host: object) -> None:
    assert not is_loopback(host)
