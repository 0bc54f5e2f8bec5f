"""Declared deployments must name providers that exist and have an address."""

from __future__ import annotations

from typing import Any

import pytest

from nearfar.gateway.declared import check
from nearfar.providers import registry
from nearfar.providers.base import Provider
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


def test_options_are_known_and_complete() -> None:
    asked = Provider(
        name="cloudy",
        title="Cloudy",
        wire="openai.chat",
        base_url="https://{region}.example.com",
        options={"region": "", "wire": "native"},
        doors={
            "wire=openai": Provider(name="cloudy", title="Cloudy", wire="openai.chat", base_url="https://o.example.com")
        },
    )

    def wrong(**fields: Any) -> list[str]:
        settings = Settings(deployments={"a": DeploymentSetting(model="m", provider="cloudy", **fields)})
        try:
            check(settings, {}, {"cloudy": asked})
        except SettingsError as caught:
            return [f"{problem.text} | {problem.hint}" for problem in caught.problems]
        return []

    assert wrong() == ["deployments.a.options: lacks 'region' | Its address needs it: https://{region}.example.com"]
    assert "knows no option 'regoin'" in wrong(options={"regoin": "x", "region": "y"})[0]
    assert wrong(options={"region": "x"}) == []
    assert wrong(base_url="http://127.0.0.1:1") == [], "an own address needs no option"
    assert "transcribes nothing" in wrong(options={"region": "x"}, operations=("transcription",))[0]
    assert wrong(options={"wire": "openai"}) == [], "the other door's address needs no region"
    assert wrong(options={"wire": "native", "region": "x"}) == []
    assert "has no wire 'opnai'" in wrong(options={"wire": "opnai", "region": "x"})[0]
