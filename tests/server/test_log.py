"""Logs: one line a record, with what was given and nothing else."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from nearfar.server.log import JsonFormatter, TextFormatter, configure
from nearfar.settings.model import Log


def _record(message: str = "a %s", *args: object, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("nearfar.x", logging.WARNING, __file__, 1, message, args, None)
    record.__dict__.update(extra)
    record.created, record.msecs = 1_795_262_400.5, 500.0
    return record


def test_json_is_one_object_a_line() -> None:
    line = JsonFormatter().format(_record("a %s", "worker\nended", worker=3, path="/x"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-11-21T12:00:00.500Z",
        "level": "warning",
        "logger": "nearfar.x",
        "event": "a worker\nended",
        "worker": 3,
        "path": "/x",
    }


def test_json_takes_any_value() -> None:
    assert json.loads(JsonFormatter().format(_record("a", what=ValueError("b"))))["what"] == "b"


def test_text_is_for_people() -> None:
    assert TextFormatter().format(_record("a %s", "b", worker=3)) == "2026-11-21T12:00:00.500Z warning a b worker=3"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_failures_bring_their_trace(formatter: logging.Formatter) -> None:
    record = _record("failed")
    try:
        int("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = formatter.format(record)
    assert "ValueError (its words are left out" in line
    assert "int(" in line, "where it was raised"
    assert "invalid literal" not in line


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The root of our loggers, put back as it was."""
    found = logging.getLogger("nearfar")
    before = (found.handlers[:], found.level, found.propagate)
    yield found
    found.handlers[:], found.propagate = before[0], before[2]
    found.setLevel(before[1])


def test_configuring_twice_does_not_double_the_lines(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        configure(Log(level="warning", format="json"))
    logging.getLogger("nearfar.x").warning("once")
    logging.getLogger("nearfar.x").info("never")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(line)["event"] for line in captured.err.splitlines()] == ["once"]


def test_the_form_follows_the_terminal(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(format="auto"))
    assert isinstance(logger.handlers[0].formatter, JsonFormatter), "captured output is no terminal"
    configure(Log(format="text"))
    assert isinstance(logger.handlers[0].formatter, TextFormatter)
