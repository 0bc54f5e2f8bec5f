"""Errors say what, why and the next step; their exit codes are stable."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Cli

from nearfar.cli import errors
from nearfar.core import errors as core
from nearfar.settings.errors import Problem, SettingsError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (core.BadRequestError("x"), 1),
        (core.InternalServerError("x"), 1),
        (core.RateLimitError("x"), 1),
        (errors.UsageError("x"), 2),
        (SettingsError("x"), 2),
        (core.APIConnectionError("x"), 3),
        (core.AuthenticationError("x"), 4),
        (core.PermissionDeniedError("x"), 4),
    ],
)
def test_exit_codes(error: core.NearfarError, code: int) -> None:
    assert errors.exit_code(error) == code


@pytest.mark.parametrize(
    "args",
    [
        ("eval", "none.jsonl", "--on", "a", "--on", "b"),
        ("router", "fit", "--labels", "none.jsonl", "--out", "none.router"),
        ("router", "score", "--router", "none.router", "none.jsonl"),
        ("privacy", "scan", "none.txt"),
        ("policy", "test", "none.toml"),
        ("advise", "--workload", "none.toml"),
    ],
)
def test_a_file_that_cannot_be_read_is_the_same_for_every_command(cli: Cli, args: tuple[str, ...]) -> None:
    told = cli(*args)
    assert (told.code, "none." in told.err) == (2, True), told.err


def test_an_error_and_its_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.report(core.NoRoute("No model is named 'x'.", hint="Nearest: y.")) == 1
    assert capsys.readouterr() == ("", "error: No model is named 'x'.\n  Nearest: y.\n")


def test_every_problem_of_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(key="a", origin="default", message="wrong"), Problem(key="b", origin="", message="too\x1b[2J")]
    errors.report(SettingsError("first", problems=problems))
    assert capsys.readouterr().err == "error: a: wrong (default)\nerror: b: too[2J\n"
