"""Declared deployments must name providers that exist and have an address."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nearfar.gateway.declared import check, exposed, lacking
from nearfar.gateway.declared import problems as listed
from nearfar.providers import registry
from nearfar.providers.base import Provider
from nearfar.settings.environ import Environ
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


def test_what_one_deployment_lacks_stops_no_other() -> None:
    def lacks(settings: Settings, **environ: str) -> list[tuple[str, str]]:
        found = lacking(settings, {}, registry.load_all(), Environ(environ))
        return [(problem.key, problem.message) for problem in found]

    keyed = DeploymentSetting(provider="openai", model="m", key="env:MINE", headers={"x-team": "a", "x-token": "env:T"})
    settings = Settings(deployments={"a": keyed})
    assert lacks(settings) == [
        ("deployments.a.key", "the key at env:MINE is empty or not set"),
        ("deployments.a.headers.x-token", "the key at env:T is empty or not set"),
    ]
    assert lacks(settings, MINE="k", T="t") == []
    assert lacks(msgspec.structs.replace(settings, offline=True)) == [], "offline it is not called"
    bare = Settings(deployments={"a": DeploymentSetting(provider="openai", model="m")})
    assert "OPENAI_API_KEY is not set" in lacks(bare)[0][1]
    assert lacks(bare, OPENAI_API_KEY="k") == []
    near = Settings(
        deployments={"a": DeploymentSetting(provider="openai-compatible", model="m", base_url="http://h/v1")}
    )
    assert lacks(near) == [], "one's own server may need none"
    for runtime in ("llama-cpp", "lm-studio", "vllm"):
        for place in (None, "device"):
            own = DeploymentSetting(provider=runtime, model="m", place=place)
            assert lacks(Settings(deployments={"own": own})) == [], "a runtime on this machine may need none either"


def test_who_wrote_a_deployment_down_is_named_when_nobody_set_what_is_missing() -> None:
    settings = Settings(deployments={"a": DeploymentSetting(provider="openai-compatible", model="m")})
    origins = {"deployments.a.provider": "file /c.toml:2", "deployments.a.base_url": "default"}
    (problem,) = listed(settings, origins, registry.load_all())
    assert problem.origin == "file /c.toml:2"


def test_an_address_where_one_is_needed_and_none_where_there_is_none() -> None:
    assert "base_url: is missing" in problems(provider="openai-compatible")[0]
    assert "has no address" in problems(provider="embedded", base_url="http://127.0.0.1:1")[0]


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("http://127.0.0.1:8000/v1", "/chat/completions"),
        ("http://127.0.0.1:8000/v1", "/embeddings/"),
        ("https://api.example.com", "/v1/messages"),
        ("http://127.0.0.1:11434", "/api/chat"),
    ],
)
def test_the_path_of_a_request_is_no_address(base: str, path: str) -> None:
    (problem,) = problems(provider="openai-compatible", base_url=base + path)
    assert f"base_url: ends with {path.rstrip('/')}" in problem
    assert problem.endswith(f": {base}")


def test_everything_that_an_address_lacks_is_told_at_once() -> None:
    (problem,) = problems(provider="vertex-ai")
    assert "lacks 'location' and 'project'" in problem


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


@pytest.mark.parametrize("provider", ["vertex-ai", "bedrock", "sagemaker"])
def test_a_clouds_credentials_are_not_configured_to_travel_in_clear(provider: str) -> None:
    options = {"vertex-ai": {"project": "p", "location": "l"}}.get(provider, {"region": "us-east-1"})
    known = registry.load_all()[provider].options
    chosen = {name: value for name, value in options.items() if name in known}
    (problem,) = problems(provider=provider, base_url="http://proxy.example/v1", options=chosen)
    assert "over plain HTTP" in problem
    for base in ("http://127.0.0.1:9/v1", "http://[::1]:9/v1", "http://localhost/v1", "https://proxy.example/v1"):
        item = DeploymentSetting(provider=provider, model="m", base_url=base, options=chosen)
        assert not listed(Settings(deployments={"a": item}), {}, registry.load_all()), base


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ("http://api.example.org/v1", True),
        ("http://203.0.114.9:8000/v1", True),
        ("https://api.example.org/v1", False),
        ("http://127.0.0.1:8000/v1", False),
        ("http://192.168.1.4:8000/v1", False),
        ("http://[fd00::1]:8000/v1", False),
        ("http://nas:8000/v1", False),
        ("http://box.local:8000/v1", False),
    ],
)
def test_a_key_that_everybody_on_the_way_can_read_is_told(base: str, told: bool) -> None:
    def found(**more: Any) -> list[str]:
        item = DeploymentSetting(provider="openai-compatible", model="m", base_url=base, **more)
        return [problem.key for problem in exposed(Settings(deployments={"a": item}), {}, registry.load_all())]

    assert found(key="env:K") == (["deployments.a.base_url"] if told else [])
    assert found(headers={"x-token": "file:/k"}) == (["deployments.a.base_url"] if told else [])
    assert found(headers={"x-team": "a"}) == found() == [], "nothing secret is sent"
