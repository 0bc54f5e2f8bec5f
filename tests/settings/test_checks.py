"""What must hold between settings; the wording is tested through files in test_load."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nearfar.settings.checks import check, usable_name
from nearfar.settings.model import (
    BranchSetting,
    CascadeSetting,
    DeploymentSetting,
    Learning,
    Policy,
    Responses,
    RouterSetting,
    RouteSetting,
    Server,
    Settings,
)


def keys(settings: Settings) -> list[str]:
    return [problem.key for problem in check(settings, lambda _: "here")]


def test_the_defaults_hold() -> None:
    assert keys(Settings()) == []


def deployed(**fields: Any) -> Settings:
    return Settings(deployments={"a": DeploymentSetting(provider="openai", model="m", **fields)})


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.org/v1",
        "http://127.0.0.1:8000",
        "http://[::1]:8000/v1/",
        "http://box.lan:1",
    ],
)
def test_addresses(url: str) -> None:
    assert keys(deployed(base_url=url)) == []


@pytest.mark.parametrize(
    "url",
    ["//h", "h:80", "http://h:0", "http://h:x", "http://[h", "http://h/#f", "http://h/ü", "http://u@h", "file:///x"],
)
def test_what_is_no_address(url: str) -> None:
    assert keys(deployed(base_url=url)) == ["deployments.a.base_url"]


@pytest.mark.parametrize(("place", "fine"), [("device", False), ("lan", True), ("cloud", True), (None, True)])
def test_another_machines_number_is_not_this_device(place: Any, fine: bool) -> None:
    assert (keys(deployed(base_url="http://192.0.2.1", place=place)) == []) is fine
    assert keys(deployed(base_url="http://127.0.0.1", place=place)) == []


def test_secret_headers_are_references() -> None:
    assert keys(deployed(headers={"Authorization": "env:K", "x-team": "blue"})) == []
    for name in ("authorization", "X-Api-Key", "cookie", "x-auth-token"):
        assert keys(deployed(headers={name: "value"})) == [f"deployments.a.headers.{name}"]


def test_numbers_have_ranges() -> None:
    for field, value in (("port", -1), ("port", 65536), ("workers", 0), ("max_body_bytes", 0), ("header_timeout", 0.0)):
        server = msgspec.structs.replace(Server(), **{field: value})
        assert keys(Settings(server=server)) == [f"server.{field}"]


def test_a_more_sensitive_class_never_reaches_further() -> None:
    assert keys(Settings(policy=Policy(public="lan"))) == ["policy.internal"]
    assert keys(Settings(policy=Policy(public="lan", internal="lan", confidential="lan", restricted="device"))) == []


def test_a_route_may_point_at_what_cannot_be_read() -> None:
    """The deployment's own mistake is told; that the route leads nowhere would be a second error about the same."""
    settings = Settings(routes={"r": RouteSetting(deployments=("broken", "missing"))})
    (problem,) = check(settings, lambda _: "", ["broken"])
    assert "'missing'" in problem.message


def test_a_folder_is_a_path() -> None:
    (problem,) = check(Settings(state_dir="a\0b"), lambda _: "")
    assert (problem.key, problem.message) == ("state_dir", "not a path")


def test_routes_point_at_what_is_there() -> None:
    settings = msgspec.structs.replace(deployed(), routes={"r": RouteSetting(deployments=("a",))})
    assert keys(settings) == []
    settings = msgspec.structs.replace(deployed(), routes={"r": RouteSetting(deployments=("a", "b", "b"))})
    assert keys(settings) == ["routes.r.deployments"] * 2


def test_the_key_of_stored_responses_is_a_reference() -> None:
    assert keys(Settings(responses=Responses(key="00" * 32))) == ["responses.key"]
    assert keys(Settings(responses=Responses(key="env:KEY", keep_hours=24))) == []
    assert keys(Settings(responses=Responses(keep_hours=-1))) == ["responses.keep_hours"]


def test_a_policy_file_is_named_by_its_whole_path() -> None:
    assert keys(Settings(policy=Policy(file="policy.toml"))) == ["policy.file"]
    assert keys(Settings(policy=Policy(file="/etc/nearfar/policy.toml"))) == []


def test_places_beside_a_preset_are_compared_with_each_other() -> None:
    assert keys(Settings(policy=Policy(preset="team", internal="lan", restricted="cloud"))) == ["policy.restricted"]
    assert keys(Settings(policy=Policy(preset="team", public="lan"))) == []


@pytest.mark.parametrize(
    ("name", "fine"),
    [
        ("ollama/通義:7b", True),
        ("größe-1", True),
        ("ไทย-นี้", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ("/x", False),
        ("a b", False),
        ("a\u202eb", False),
        ("a\nb", False),
        ("a#b", False),
    ],
)
def test_names_have_letters_of_any_script(name: str, fine: bool) -> None:
    assert usable_name(name) is fine


def routed(strategy: str, **fields: Any) -> list[str]:
    far = DeploymentSetting(provider="openai", model="m")
    route = RouteSetting(deployments=("a", "b"), strategy=strategy, **fields)  # type: ignore[arg-type]  # from a table
    return keys(Settings(deployments={"a": far, "b": far}, routes={"r": route}))


def test_weights_and_branches_belong_to_their_strategy_and_to_the_routes_deployments() -> None:
    assert routed("weighted", weights={"a": 2.0}) == []
    assert routed("weighted", weights={"c": 2.0}) == ["routes.r.weights.c"]
    assert routed("weighted", weights={"a": -1.0}) == ["routes.r.weights.a"]
    assert routed("weighted", weights={"a": 0.0, "b": 0.0}) == ["routes.r.weights"]
    assert routed("local-first", weights={"a": 1.0}) == ["routes.r.weights"]
    for kind in ("canary", "shadow"):
        assert routed(kind, **{kind: BranchSetting(deployment="b", share=0.1)}) == []
        assert routed(kind) == [f"routes.r.{kind}"]
        assert routed(kind, **{kind: BranchSetting(deployment="c", share=0.1)}) == [f"routes.r.{kind}.deployment"]
        assert routed(kind, **{kind: BranchSetting(deployment="b", share=1.1)}) == [f"routes.r.{kind}.share"]
        assert routed("fastest", **{kind: BranchSetting(deployment="b", share=0.1)}) == [f"routes.r.{kind}"]
    assert routed("cascade", shadow=BranchSetting(deployment="b", share=0.1)) == []
    assert routed("fastest", spill_after=-1.0) == ["routes.r.spill_after"]
    assert keys(deployed(slots=0)) == ["deployments.a.slots"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"opinions": ("a", "b"), "threshold": 0.7, "max_cost": 0.0}, ""),
        ({"opinions": ("a", "c")}, "opinions"),
        ({"opinions": ("a", "a")}, "opinions"),
        ({"opinions": ("a", "b", "far")}, "opinions"),
        ({"threshold": 1.1}, "threshold"),
        ({"max_cost": -1.0}, "max_cost"),
    ],
)
def test_cascades(fields: dict[str, Any], wrong: str) -> None:
    found = routed("cascade", cascade=CascadeSetting(**fields))
    assert set(found) == ({f"routes.r.cascade.{wrong}"} if wrong else set())


def test_a_cascade_belongs_to_its_strategy() -> None:
    assert routed("local-first", cascade=CascadeSetting()) == ["routes.r.cascade"]
    assert routed("cascade") == []


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"threshold": 0.1}, None),
        ({"certificate": "/c.json", "mode": "canary", "share": 0.2, "embedder": "b"}, None),
        ({}, ""),
        ({"threshold": 0.1, "certificate": "/c.json"}, ".threshold"),
        ({"threshold": 1.5}, ".threshold"),
        ({"threshold": 0.1, "share": 2.0}, ".share"),
        ({"threshold": 0.1, "embedder": "c"}, ".embedder"),
        ({"threshold": 0.1, "file": ""}, ".file"),
        ({"certificate": "/c\0"}, ".certificate"),
    ],
)
def test_routers(fields: dict[str, Any], wrong: str | None) -> None:
    found = routed("local-first", router=RouterSetting(**({"file": "/r.npz"} | fields)))
    assert found == ([] if wrong is None else [f"routes.r.router{wrong}"])


@pytest.mark.parametrize("strategy", ["local-only", "cloud-only", "weighted"])
def test_a_router_needs_a_strategy_that_leaves_it_a_choice(strategy: str) -> None:
    assert routed(strategy, router=RouterSetting(file="/r.npz", threshold=0.1)) == ["routes.r.router"]
    alone = RouteSetting(deployments=("a",), router=RouterSetting(file="/r.npz", threshold=0.1))
    far = DeploymentSetting(provider="openai", model="m")
    assert keys(Settings(deployments={"a": far}, routes={"r": alone})) == ["routes.r.router"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"keep": ("public", "internal"), "judge": "a"}, []),
        ({"keep": ("internal", "confidential")}, ["learning.keep"]),
        ({"keep": ("restricted",)}, ["learning.keep"]),
        ({"judge": "nobody"}, ["learning.judge"]),
        ({"anchors": "pairs.jsonl"}, ["learning.anchors"]),
        ({"share_judged": 1.5, "agreement": -0.1, "retention_days": 0}, ["learning"] * 3),
        ({"key": "7f" * 32}, ["learning.key"]),
    ],
    ids=str,
)
def test_what_is_learned_from(fields: dict[str, Any], wrong: list[str]) -> None:
    found = keys(msgspec.structs.replace(deployed(), learning=Learning(**fields)))
    assert len(found) == len(wrong)
    assert all(key.startswith(start) for key, start in zip(found, wrong, strict=True))
