"""``nearfar chat``: each turn is sent with what came before, and an error ends no conversation with a person."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest
from tests import stand_in
from tests.cli import serving
from tests.cli.conftest import Cli
from tests.cli.terminal import terminal

from nearfar.cli import output


@pytest.fixture(autouse=True)
def well_behaved(cloud: stand_in.Running) -> Iterator[None]:
    yield
    cloud.behave()


@pytest.fixture
def asked(cli: Cli, server: serving.Server) -> Cli:
    cli.environ["NEARFAR_URL"] = server.url
    return cli


def say(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def counts(err: str) -> list[int]:
    """Input tokens of each turn, from the accounts on standard error."""
    return [int(line.split(" → ")[0].rsplit(" ", 1)[1]) for line in err.splitlines() if " tokens" in line]


def test_the_history_is_sent_again_until_it_is_forgotten(asked: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, "one", "two", "", "/new", "one", "/bye", "never")
    result = asked("chat", "far", "-v")
    assert result.code == 0
    assert [line.rpartition(": ")[2] for line in result.out.splitlines()] == ["“one”", "“two”", "“one”"]
    first, second, third = counts(result.err)
    assert first == third < second


def test_another_model_in_the_middle(asked: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, "one", "/model near", "two", "/help")
    result = asked("chat", "far", "-v", "--max-tokens", "2")
    assert "far (cloud)" in result.err
    assert "near (device)" in result.err
    assert "/bye" in result.err


def test_an_error_ends_a_script(asked: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, "one", "two")
    result = asked("chat", "nothing")
    assert (result.code, result.out) == (1, "")


def test_an_error_does_not_end_a_conversation(
    asked: Cli, monkeypatch: pytest.MonkeyPatch, cloud: stand_in.Running
) -> None:
    cloud.behave("500", times=2)  # the retry meets it too
    say(monkeypatch, "one", "/model near", "two")
    monkeypatch.setattr(output, "is_terminal", lambda _stream: True)
    result = asked("chat", "far", "--max-tokens", "2")
    assert result.code == 0
    assert "error: " in result.err
    assert "near (device)" in result.err


def interrupted(asked: Cli, cloud: stand_in.Running) -> None:
    """Ctrl-C during an answer stops that answer, upstream too; at the prompt it ends the conversation politely."""
    cloud.behave(chunks=10_000, chunk_ms=5, times=1)
    with terminal("chat", "far", environ=asked.environ) as talk:
        talk.expect("> ")
        talk.press("hello\n")
        talk.expect("This is")
        talk.press("\x03")
        talk.expect("(stopped")
        talk.expect("> ")
        while cloud.ended().outcome != "cancelled":
            pass  # requests of earlier tests; when there is no further one, this fails
        talk.press("again\n")
        talk.expect("You asked: “again”")
        talk.expect("> ")
        talk.waits()
        talk.press("\x03")
        assert talk.ended() == 0
        assert "Traceback" not in talk.screen
        assert talk.screen.endswith("\n")


def test_an_interrupt_at_a_gateway(asked: Cli, cloud: stand_in.Running) -> None:
    interrupted(asked, cloud)


def test_an_interrupt_in_this_process(cli: Cli, cloud: stand_in.Running) -> None:
    cli.environ["NEARFAR_CONFIG"] = str(serving.write_config(cli.home, cloud.url))
    cli.environ["NEARFAR_SERVER__PORT"] = "1"  # nobody listens there
    interrupted(cli, cloud)
