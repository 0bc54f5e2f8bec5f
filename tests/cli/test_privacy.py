"""``nearfar privacy scan``: places and kinds on standard output, never a value."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from tests.cli.conftest import Cli

from nearfar.cli.privacy import by_line
from nearfar.privacy.findings import Finding

TEXT = "第一行沒有\r\n病患王小明，身分證字號A１２3456789，手機0912-345-678\nmail mei@example.org\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return str(path)


def test_one_object_per_finding_with_places_in_the_line(cli: Cli, file: str) -> None:
    result = cli("privacy", "scan", file, "--json")
    assert result.code == 0
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert {tuple(row) for row in rows} == {("line", "start", "end", "kind", "score", "detector")}
    lines = TEXT.split("\n")
    assert [(lines[row["line"] - 1][row["start"] : row["end"]], row["kind"]) for row in rows] == [
        ("王小明", "person"),
        ("A１２3456789", "tw.national_id"),
        ("0912-345-678", "tw.mobile"),
        ("mei@example.org", "email"),
    ]


def test_for_people_it_is_a_table_without_values(cli: Cli, file: str) -> None:
    result = cli("privacy", "scan", file)
    assert "tw.national_id" in result.out
    assert "王小明" not in result.out
    assert "0912" not in result.out


def test_names_can_be_left_out_and_the_floor_raised(cli: Cli, file: str) -> None:
    assert "person" not in cli("privacy", "scan", file, "--json", "--no-names").out
    assert cli("privacy", "scan", file, "--json", "--floor", "1").out == ""


def test_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (("privacy", "scan", "--json"), ("privacy", "scan", "-", "--json")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\ufeff a@b.org".encode())))
        (row,) = cli(*arguments).out.splitlines()
        assert json.loads(row)["start"] == 1


def test_nothing_found_is_no_proof(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_text("nothing here")
    result = cli("privacy", "scan", str(path))
    assert result.out == ""
    assert "no proof" in result.err


def test_what_could_not_be_read_is_told(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_text("one\n" + base64.b64encode(bytes((n * 89 + 31) % 256 | 0x80 for n in range(600))).decode())
    assert "Line 2: not read" in cli("privacy", "scan", str(path), "--json").err


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), (b"\xff\xfe", "no UTF-8")])
def test_what_is_no_text(cli: Cli, tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    result = cli("privacy", "scan", str(path))
    assert result.code == 2
    assert told in result.err


def test_a_finding_over_several_lines_is_told_for_each() -> None:
    rows = list(by_line("ab\ncd\n\nef", (Finding(1, 9, "secret", 1.0, "x"),)))
    assert [(row.line, row.start, row.end) for row in rows] == [(1, 1, 2), (2, 0, 2), (4, 0, 2)]


def test_a_masked_text_holds_no_value_and_comes_back(cli: Cli, file: str, tmp_path: Path) -> None:
    kept = tmp_path / "map.json"
    masked = cli("privacy", "mask", file, "--map", str(kept))
    assert masked.code == 0
    assert kept.stat().st_mode & 0o777 == 0o600
    for value in ("王小明", "3456789", "0912", "mei@"):
        assert value not in masked.out
    path = tmp_path / "masked.txt"
    path.write_bytes(masked.out.encode())
    assert cli("privacy", "restore", str(path), "--map", str(kept)).out == TEXT


def test_only_kinds_that_are_asked_for_are_masked(cli: Cli, file: str, tmp_path: Path) -> None:
    masked = cli("privacy", "mask", file, "--map", str(tmp_path / "m"), "--kind", "email", "--kind", "tw.mobile").out
    assert "王小明" in masked
    assert "mei@" not in masked
    assert "0912" not in masked


def test_a_kind_that_no_rule_finds_is_refused_before_anything_is_shown(cli: Cli, file: str, tmp_path: Path) -> None:
    kept = tmp_path / "m"
    done = cli("privacy", "mask", file, "--map", str(kept), "--kind", "tw.mobil", "--kind", "person")
    assert (done.code, done.out, kept.exists()) == (2, "", False)
    assert "'tw.mobil'" in done.err
    assert "tw.mobile" in done.err


def test_persons_that_nobody_looks_for_are_not_asked_for(cli: Cli, file: str, tmp_path: Path) -> None:
    done = cli("privacy", "mask", file, "--map", str(tmp_path / "m"), "--no-names", "--kind", "person")
    assert (done.code, done.out) == (2, "")


def test_what_is_not_restored_is_told(cli: Cli, tmp_path: Path) -> None:
    kept, path = tmp_path / "map.json", tmp_path / "text.txt"
    kept.write_text('{"PERSON_BCDFGH": "Alice"}')
    path.write_text("PERSON_BCDFGH https://a.example/PERSON_BCDFGH \u27e6PERSON_BCDFGX\u27e7")
    told = cli("privacy", "restore", str(path), "--map", str(kept))
    assert told.out == "Alice https://a.example/PERSON_BCDFGH \u27e6PERSON_BCDFGX\u27e7"
    assert "1 (inside a URL)" in told.err
    assert "1 (not in this map)" in told.err


def test_a_map_is_never_overwritten(cli: Cli, file: str, tmp_path: Path) -> None:
    kept = tmp_path / "map.json"
    kept.write_text("precious")
    result = cli("privacy", "mask", file, "--map", str(kept))
    assert result.code == 2
    assert result.out == ""
    assert kept.read_text() == "precious"


def test_a_map_that_is_none_is_refused(cli: Cli, file: str, tmp_path: Path) -> None:
    for content in ("no json", "[]"):
        (tmp_path / "m").write_text(content)
        assert "no map" in cli("privacy", "restore", file, "--map", str(tmp_path / "m")).err
    assert "cannot be read" in cli("privacy", "restore", file, "--map", str(tmp_path / "none")).err
