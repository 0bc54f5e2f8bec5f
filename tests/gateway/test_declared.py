"""Declared deployments must name providers that exist and have an address."""

from __future__ import annotations

from typing import Any

import pytest

from nearfar.gateway.declared import check
from nearfar.providers import registry
from nearfar.settings.errors import SettingsError
from nearfar.settings.model import DeploymentSetting, Settings


def problems(**fields: Any) -> list[str]:
    settings = Settings(deployments={"a.b": DeploymentSetting(model="m", **fields)})
    origins = {'deployments."a.b".provider': "file /c.toml:2"}
    with pytest.raises(SettingsError) as caught:
        check(settings, origins, registry.load_all())
    return [f"{problem.text} | {problem.hint}" for problem in caught.value.problems]


def test_an_unknown_provider_names_the_nearest() -> None:
    (problem,) = problems(provider="opnai")
    assert problem.startswith("deployments.\"a.b\".provider: there is no provider 'opnai' (file /c.toml:2)")
    assert "'openai'" in problem


def test_an_address_where_one_is_needed_and_none_where_there_is_none() -> None:
    assert "base_url: is missing" in problems(provider="openai-compatible")[0]
    assert "has no address" in problems(provider="embedded", base_url="http://127.0.0.1:1")[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"provider": "embedded"},
        {"provider": "openai"},
        {"provider": "openai-compatible", "base_url": "http://127.0.0.1:8000/v1"},
    ],
)
def test_what_is_right_passes(fields: dict[str, Any]) -> None:
    check(Settings(deployments={"a": DeploymentSetting(model="m", **fields)}), {}, registry.load_all())
