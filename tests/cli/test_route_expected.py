"""What is expected is told with what it rests on: assumed from the place, or measured by a running gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import running, stand_in
from tests.cli import serving
from tests.cli.conftest import Cli

from nearfar.cli import route_expected
from nearfar.core.routing import Expected


@pytest.fixture
def house(tmp_path: Path, stand_in: stand_in.Running) -> Iterator[running.Gateway]:
    config = running.far("far", stand_in.url) + running.far("slow", stand_in.url, behaviour={"first_byte_ms": 300})
    config += running.route("two", "slow", "far", strategy="fastest")
    with running.gateway(tmp_path, config) as made:
        yield made


@pytest.mark.slow
def test_a_running_gateways_measurements_count(house: running.Gateway) -> None:
    for name in ("far", "slow"):
        for _ in range(3):
            assert house.chat(name, stream=True).status == 200
    told = house.ask("/nearfar/v1/ps").json["loads"]
    assert {item["deployment"]: item["pace"]["samples"] for item in told} == {"far": 3, "slow": 3}
    assert house.chat("two", stream=True).headers["x-nearfar-deployment"] == "far"
    done = running.command(house.folder, "route", "explain", "hello", "-m", "two", NEARFAR_URL=house.url)
    assert done.returncode == 0, done.stderr
    assert "4 attempts" in done.stdout
    assert "3 attempts" in done.stdout
    assert f"Measured by {house.url}" in done.stderr + done.stdout


def test_without_a_gateway_speeds_are_assumed(cli: Cli, tiny_gguf: Path) -> None:
    assert cli("models", "add", str(tiny_gguf)).code == 0
    cli.environ["NEARFAR_CONFIG"] = str(serving.write_config(cli.home, "https://cloud.example"))
    told = cli("route", "explain", "hello", "-m", "near-first", "--json").json
    expected = told["ranked"][0]["expected"]
    assert (expected["basis"], expected["samples"], expected["error"]) == ("assumed", 0, None)
    assert expected["total"] > expected["first"] > expected["wait"] == 0
    shown = cli("route", "explain", "hello", "-m", "near-first")
    assert "EXPECTED OF" in shown.out
    assert "assumed from the place" in shown.err


def test_the_basis_tells_how_far_predictions_were_off() -> None:
    known = Expected(wait=0.0, first=1.0, total=2.0, samples=12, error=0.2)
    assert route_expected.basis(known) == "12 attempts, \u00b120%"
    assert route_expected.basis(Expected(wait=0.0, first=1.0, total=2.0)) == "assumed"
    assert route_expected.described(None) is None
