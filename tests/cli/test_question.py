"""What a question is made of, and standard input that is none."""

from __future__ import annotations

import pytest

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.question import Screen, asking, message, read_stdin


def test_the_request_holds_what_was_said_and_no_more() -> None:
    body = asking("auto").body([message("user", "hi")])
    assert body == {
        "model": "auto",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    body = asking("far", system="Be brief.", max_tokens=3, temperature=0.5).body([message("user", "hi")])
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert (body["max_tokens"], body["temperature"]) == (3, 0.5)


def test_a_class_that_nobody_knows_is_refused() -> None:
    assert asking("auto", class_="restricted").class_ == "restricted"
    with pytest.raises(UsageError, match="--class"):
        asking("auto", class_="secret")


def test_a_terminal_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda _stream: True)
    with pytest.raises(UsageError) as raised:
        read_stdin('nearfar run auto "…"')
    assert 'nearfar run auto "…"' in raised.value.hint


def test_an_answer_without_a_line_break_gets_one(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.show("one")
    screen.end_line()
    screen.show("two\n")
    screen.end_line()
    silent = Screen(silent=True)
    silent.show("three")
    silent.end_line()
    assert capsys.readouterr().out == "one\ntwo\n"
