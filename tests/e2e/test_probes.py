"""What `providers test` finds out, a gateway that is already running knows for its next decisions."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tests import running, stand_in

SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}


@pytest.mark.slow
def test_a_running_gateway_learns_from_a_probe(
    gateway: Callable[..., running.Gateway], stand_in: stand_in.Running
) -> None:
    """The stand-in answers in words whatever schema it is given; from then on nobody with a schema is sent there."""
    config = running.far("far", stand_in.url) + running.route("assistant", "far")
    house = gateway(config)
    assert house.chat("assistant", response_format=SCHEMA).status == 200, "unknown is not no"
    port = house.url.rpartition(":")[2]
    tried = running.command(house.folder, "providers", "test", "far", "--json", NEARFAR_SERVER__PORT=port)
    assert tried.returncode == 0, tried.stderr
    shown = json.loads(tried.stdout)
    assert shown["capabilities"]["json_schema"]["can"] is False
    assert shown["kept"], shown

    def refused() -> bool:
        reply = house.chat("assistant", response_format=SCHEMA)
        return reply.status == 400 and "cannot do json_schema (probed 2" in reply.error["message"]

    running.eventually(refused, "the next decisions know it")
    assert house.chat("assistant").status == 200
    assert [entry.purpose for entry in house.entries()].count("probe") >= 5
