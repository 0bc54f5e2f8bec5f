"""``nearfar route explain``: the decision without the request, and nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.cli import serving
from tests.cli.conftest import Cli


@pytest.fixture
def configured(cli: Cli, tiny_gguf: Path) -> Cli:
    assert cli("models", "add", str(tiny_gguf)).code == 0
    cli.environ["NEARFAR_CONFIG"] = str(serving.write_config(cli.home, "https://cloud.example"))
    return cli


def test_the_order_and_its_reasons(configured: Cli) -> None:
    told = configured("route", "explain", "hello", "-m", "far-first", "--json").json
    assert [item["deployment"] for item in told["ranked"]] == ["far", "near"]
    assert told["ranked"][0]["upper_bound"] > told["ranked"][1]["upper_bound"] == 0
    assert (told["class"], told["class_reason"], told["rejected"]) == ("internal", "default", [])
    assert configured("route", "explain", "hello", "-m", "near-first", "-q").out == "near\nfar\n"


def test_what_is_rejected_and_why(configured: Cli) -> None:
    told = configured("route", "explain", "hello", "-m", "private", "--json").json
    assert [item["deployment"] for item in told["ranked"]] == ["near"]
    assert [(item["deployment"], item["code"]) for item in told["rejected"]] == [("far", "place")]
    text = configured("route", "explain", "word " * 5000, "-m", "near-first").out
    assert "do not fit a context of 2048" in text


def test_nothing_allowed_exits_with_1(configured: Cli) -> None:
    result = configured("route", "explain", "hello", "-m", "far", "--class", "restricted")
    assert result.code == 1
    assert "stays at device" in result.out


def test_nothing_is_written(configured: Cli) -> None:
    temporary = configured.home / "t"
    temporary.mkdir()
    assert configured("route", "explain", "hello", TMPDIR=str(temporary)).code == 0
    assert os.listdir(temporary) == []
    assert not (configured.home / ".local/state").exists()


def test_an_unknown_model(configured: Cli) -> None:
    result = configured("route", "explain", "hello", "-m", "near-frist")
    assert result.code == 1
    assert "near-first" in result.err
