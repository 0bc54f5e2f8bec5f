"""``nearfar run``: the same answer and the same account of it, from a running gateway and from this process."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import stand_in
from tests.cli import serving
from tests.cli.conftest import Cli

from nearfar.cli import output


@pytest.fixture(autouse=True)
def well_behaved(cloud: stand_in.Running) -> Iterator[None]:
    yield
    cloud.behave()


@pytest.fixture
def asked(cli: Cli, server: serving.Server) -> Cli:
    """Commands that reach the running gateway."""
    cli.environ["NEARFAR_URL"] = server.url
    return cli


@pytest.fixture
def alone(cli: Cli, tiny_gguf: Path, cloud: stand_in.Running) -> Cli:
    """Commands that find no gateway and build one."""
    assert cli("models", "add", str(tiny_gguf)).code == 0
    cli.environ["NEARFAR_CONFIG"] = str(serving.write_config(cli.home, cloud.url))
    cli.environ["NEARFAR_SERVER__PORT"] = "1"  # nobody listens there, so no running gateway is found
    return cli


def test_the_answer_is_on_standard_output_and_the_account_on_standard_error(asked: Cli) -> None:
    result = asked("run", "far", "hello", "-v")
    assert result.code == 0
    assert result.out == "This is the stand-in for a cloud model, not a real one. You asked: “hello”\n"
    assert result.err.startswith("far (cloud) · ")
    assert " → 15 tokens · $0.000" in result.err
    assert asked("run", "far", "hello").err == ""


def test_a_gateway_tells_what_a_stream_cost(asked: Cli) -> None:
    told = asked("run", "far", "hello", "--json").json
    assert told["cost_usd"] == pytest.approx(told["input_tokens"] * 2.5e-6 + told["output_tokens"] * 1e-5)


def test_as_json(asked: Cli) -> None:
    told = asked("run", "near-first", "hello", "--max-tokens", "3", "--json").json
    assert (told["deployment"], told["place"], told["route"], told["class"]) == (
        "near",
        "device",
        "near-first",
        "internal",
    )
    assert told["finish_reason"] in {"length", "stop"}
    assert 0 < told["output_tokens"] <= 3
    assert told["attempts"] == 1
    assert told["request"].startswith("req-")


def test_a_failover_is_told(asked: Cli, cloud: stand_in.Running) -> None:
    cloud.behave("429", retry_after=0.001)
    told = asked("run", "far-first", "hello", "--max-tokens", "3", "--json").json
    assert told["place"] == "device"
    assert told["deviations"] == ["failover:far:rate_limit_exceeded"]


def test_the_class_decides_how_far_it_goes(asked: Cli) -> None:
    assert (
        asked("run", "far-first", "x", "--class", "restricted", "--max-tokens", "2", "--json").json["place"] == "device"
    )
    result = asked("run", "far", "x", "--class", "restricted")
    assert result.code == 4
    assert "no further than device" in result.err
    assert asked("run", "far", "x", "--class", "secret").code == 2


def test_a_cut_stream_is_a_failure_however_much_was_shown(asked: Cli, cloud: stand_in.Running) -> None:
    cloud.behave("cut", after=4)
    result = asked("run", "far", "hello")
    assert result.code == 1
    assert result.out.startswith("This is")
    assert result.out.endswith("\n")
    assert result.err.startswith("error: ")


def test_an_unknown_model_names_the_nearest(asked: Cli) -> None:
    result = asked("run", "near-frist", "hello")
    assert (result.code, result.out) == (1, "")
    assert "near-first" in result.err


def test_the_model_comes_first(asked: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    result = asked("run")
    assert result.code == 2
    assert "comes first" in result.err
    assert 'nearfar run auto "Who are you?"' in result.err
    monkeypatch.setattr(sys, "stdin", Piped(b"hi"))
    result = asked("run", "Who are you?")
    assert result.code == 1
    assert "comes first" in result.err
    monkeypatch.setattr(output, "is_terminal", lambda _stream: True)
    result = asked("run", "Who are you?")
    assert result.code == 2
    assert "nearfar run auto 'Who are you?'" in result.err
    result = asked("run", "near")
    assert result.code == 2
    assert 'nearfar run near "…"' in result.err


def test_nobody_at_the_named_address(cli: Cli) -> None:
    result = cli("run", "auto", "hello", "--url", "http://127.0.0.1:1")
    assert (result.code, result.out) == (3, "")
    assert "nearfar serve" in result.err


def test_without_a_gateway_this_process_answers(alone: Cli) -> None:
    far = alone("run", "far", "hello", "--json").json
    assert far["answer"].startswith("This is the stand-in")
    assert (far["place"], far["answered_at"]) == ("cloud", "this process")
    assert far["cost_usd"] == pytest.approx(far["input_tokens"] * 2.5e-6 + far["output_tokens"] * 1e-5)
    near = alone("run", "near", "hello", "--max-tokens", "4", "-v")
    assert near.code == 0
    assert "near (device)" in near.err
    entries = alone("usage", "-n", "5", "--json").json["entries"]
    assert [(entry["deployment"], entry["outcome"]) for entry in entries] == [("near", "ok"), ("far", "ok")]


def test_an_interrupt_ends_it_and_cancels_upstream(alone: Cli, cloud: stand_in.Running) -> None:
    cloud.behave(chunks=10_000, chunk_ms=5)
    command = [sys.executable, "-m", "nearfar", "run", "far", "hello"]
    environ = serving.environment(alone.home, alone.environ)
    with subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore the interrupt, and so would everything that these tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here yet
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(7) == "This is"
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == ""
    assert process.returncode == 130
    while cloud.ended().outcome != "cancelled":
        pass  # requests of earlier tests; when there is no further one, this fails


def test_errors_of_this_process_are_those_of_a_gateway(alone: Cli, cloud: stand_in.Running) -> None:
    assert alone("run", "nothing", "hello").code == 1
    assert alone("run", "private", "hello", "--max-tokens", "2", "--json").json["place"] == "device"
    cloud.behave("cut", after=4)
    result = alone("run", "far", "hello")
    assert result.code == 1
    assert result.out.startswith("This is")


class Piped(io.TextIOWrapper):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))


def test_the_question_from_standard_input(asked: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Piped("世界\n".encode()))
    assert "“世界”" in asked("run", "far").out


@pytest.mark.parametrize(("data", "told"), [(b"", "empty"), (b"\xff", "UTF-8")])
def test_standard_input_that_is_no_question(
    asked: Cli, monkeypatch: pytest.MonkeyPatch, data: bytes, told: str
) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(data))
    result = asked("run", "far", "-")
    assert result.code == 2
    assert told in result.err


def test_an_empty_question_is_none(asked: Cli) -> None:
    assert asked("run", "far", " ")[0] == 2


def test_a_terminal_gets_no_control_characters(
    asked: Cli, monkeypatch: pytest.MonkeyPatch, cloud: stand_in.Running
) -> None:
    assert "\x1b[31m" in asked("run", "far", "red \x1b[31m").out
    monkeypatch.setattr(output, "is_terminal", lambda _stream: True)
    result = asked("run", "far", "red \x1b[31m")
    assert "\x1b" not in result.out
    assert "far (cloud)" in result.err
