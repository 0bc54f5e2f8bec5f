"""Tables and text: nothing from outside steers a terminal."""

from __future__ import annotations

import io
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.cli import output


def test_a_table_in_a_pipe_is_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("NAME", "N"), [("模型", 1), ("x" * 200, 20), (None, True)], right=[1])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("模型" + " " * 196)
    assert lines[2] == "x" * 200 + "   20"
    assert not any(line.endswith(" ") for line in lines)
    assert lines[3].strip() == "yes"


def test_a_table_on_a_terminal_fits_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda _stream: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    output.table(("NAME", "N", "PID"), [("[bold]y[/bold]" * 9, 1, 12345)], drop=("PID",))
    shown = capsys.readouterr()
    assert max(len(line) for line in shown.out.splitlines()) <= 40
    assert shown.out.splitlines()[1].startswith("[bold]")
    assert "12345" not in shown.out
    assert "PID" in shown.err
    assert "--json" in shown.err


def test_only_a_terminal_gets_bold_type(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not output.styled(io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.styled(io.StringIO())


def test_progress_is_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    output.progress("loading")
    assert capsys.readouterr() == ("", "")


@given(st.text())
def test_no_control_character_passes(text: str) -> None:
    shown = output.clean(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    assert "\x7f" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown
    assert "\n" not in output.cell(text)


def test_is_terminal() -> None:
    assert not output.is_terminal(io.StringIO())


def test_megabytes() -> None:
    assert output.megabytes(4_100_000) == "4.1 MB"
    assert output.megabytes(None) == "?"


def test_json_is_whole_on_a_stream_that_lacks_its_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="latin-1", errors="replace"))
    output.json({"text": "你好 é 😀"})
    sys.stdout.flush()
    assert msgspec.json.decode(written.getvalue()) == {"text": "你好 é 😀"}
