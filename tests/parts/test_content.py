"""What a policy wants of content, and a policy that is only tried out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.parts.built import loaded

from nearfar import build
from nearfar.core.places import Class, Place
from nearfar.parts.content import rules_from
from nearfar.server.run import warn
from nearfar.settings.model import Policy, Settings


def test_the_policy_table_becomes_rules() -> None:
    plain = rules_from(Settings())
    assert (plain.name, plain.offline, plain.default) == ("default", False, Class.INTERNAL)
    assert [plain.reach(item) for item in Class] == [Place.CLOUD, Place.CLOUD, Place.DEVICE, Place.DEVICE]
    policy = Policy(public="private-cloud", internal="lan", confidential="device", default_class="confidential")
    own = rules_from(Settings(policy=policy, offline=True))
    assert (own.name, own.offline, own.default) == ("configured", True, Class.CONFIDENTIAL)
    assert [own.reach(item) for item in Class] == [Place.PRIVATE_CLOUD, Place.LAN, Place.DEVICE, Place.DEVICE]


def test_a_policy_that_is_observed_is_loud_and_holds_nothing_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = loaded(tmp_path, "[policy]\npreset = 'tw-medical'\nmode = 'observe'\n")

    async def scenario() -> None:
        gateway = build.gateway(given)
        try:
            assert gateway.observer is not None
            (policy,) = [check for check in gateway.readiness() if check.name == "policy"]
            assert policy.ok
            assert policy.detail.startswith("NOT ENFORCED")
            warn(gateway)
        finally:
            await gateway.close()
        held = build.gateway(loaded(tmp_path, "[policy]\npreset = 'tw-medical'\n"))
        try:
            assert held.observer is None
            assert "policy" not in {check.name for check in held.readiness()}
        finally:
            await held.close()

    asyncio.run(scenario())
    (record,) = [item for item in caplog.records if item.name == "nearfar.server"]
    assert (record.levelname, record.message.partition(":")[0]) == ("WARNING", "NOT ENFORCED")
