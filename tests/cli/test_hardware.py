"""``nearfar hardware``: this machine, one that is described, and the list."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Cli


def test_this_machine(cli: Cli) -> None:
    shown = cli("hardware")
    assert shown.code == 0
    assert "Models run on: " in shown.out
    told = cli("hardware", "--json").json
    assert told["machine"]["memory"] >= told["usable_bytes"] > 0
    assert told["measured"] is None
    assert cli("hardware", "-q").out.strip() == told["device"]["id"]


@pytest.mark.parametrize(
    ("args", "label"),
    [
        (["--hardware", "2x RTX 3090"], "2x RTX 3090 (24 GiB each)"),
        (["-H", "RTX 4090", "--gpus", "4", "--ram", "128"], "4x RTX 4090 (24 GiB each) + 128 GiB RAM"),
        (["-H", "name=mine,memory=10,bandwidth=500"], "mine (10 GiB)"),
        (["-H", "Apple M4 Max 64GB"], "Apple M4 Max (64 GiB)"),
    ],
)
def test_another_one(cli: Cli, args: list[str], label: str) -> None:
    told = cli("hardware", *args, "--json").json
    assert told["label"] == label
    assert "machine" not in told
    assert label in cli("hardware", *args).out


def test_the_list(cli: Cli) -> None:
    devices = cli("hardware", "--list", "--json").json["devices"]
    assert len(devices) >= 90
    assert "RTX 4090" in cli("hardware", "--list").out
    assert "rtx-4090" in cli("hardware", "--list", "-q").out.split()


def test_unknown_devices(cli: Cli) -> None:
    result = cli("hardware", "-H", "RTX 4091")
    assert (result.code, result.out) == (1, "")
    assert "RTX 4090" in result.err
    assert "nearfar hardware --list" in result.err


def test_a_device_without_a_flag(cli: Cli) -> None:
    assert cli("hardware", "RTX 4090").out == cli("hardware", "-H", "RTX 4090").out
    assert "RTX 4090 (24 GiB)" in cli("hardware", "RTX 4090").out
    assert cli("hardware", "超級電腦").code == 1
