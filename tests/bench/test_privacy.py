"""The bench of the privacy rules: what counts as found, false and leaked, on lines whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import privacy
from nearfar.privacy.scan import Scanner

RULES = Scanner()


def line(text: str, *spans: tuple[str, str]) -> privacy.Line:
    places = [privacy.Span(text.index(value), text.index(value) + len(value), label) for label, value in spans]
    return privacy.Line(text, places, "x")


def test_found_false_and_leaked() -> None:
    lines = [
        line("手機0912-345-678", ("TW_MOBILE", "0912-345-678")),
        line("代號 99", ("TW_MOBILE", "99")),
        line("身分證A123456789", ("PERSON", "身分證")),
        line("手機0987-654-321", ("EMAIL", "0987-654-321")),
    ]
    table = privacy.measure(lines, RULES)
    assert table["TW_MOBILE"] == {
        "labels": 2,
        "recall": 0.5,
        "exact": 0.5,
        "leaks": 1,
        "findings": 2,
        "precision": 0.5,
    }
    assert table["PERSON"]["leaks"] == 1
    assert table["EMAIL"] == {"labels": 1, "recall": 0.0, "exact": 0.0, "leaks": 0, "findings": 0, "precision": None}


def test_a_part_that_is_not_covered_leaks() -> None:
    table = privacy.measure([line("寄a@b.org給我", ("EMAIL", "寄a@b.org"))], RULES)
    assert table["EMAIL"]["recall"] == 1.0
    assert table["EMAIL"]["exact"] == 0.0
    assert table["EMAIL"]["leaks"] == 1


def test_false_alarms_are_counted_by_kind() -> None:
    told = privacy.alarms([line("nothing"), line("mail a@b.org")], RULES)
    assert told == {"lines": 2, "per_100_lines": 50.0, "kinds": {"email": 1}}


def test_a_kind_stands_for_those_below_it() -> None:
    assert privacy.means("secret.github", "API_KEY")
    assert not privacy.means("secretive", "API_KEY")
    assert not privacy.means("email", "NO_SUCH_LABEL")


def test_the_whole_report_on_small_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "HOSTILE", {"dots": "a." * 100})
    monkeypatch.setattr(privacy, "prose", lambda: ["說明文件沒有人名。" * 30, "plain words " * 30])
    rows = [
        {"text": "手機0912-345-678", "variant": "plain", "spans": [{"start": 2, "end": 14, "label": "TW_MOBILE"}]},
        {"text": "共3箱", "variant": "negative", "spans": []},
    ]
    (tmp_path / "zh_tw_x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "en_presidio_x.json").write_text(
        json.dumps(
            [
                {
                    "full_text": "a@b.org",
                    "spans": [{"start_position": 0, "end_position": 7, "entity_type": "EMAIL_ADDRESS"}],
                }
            ]
        )
    )
    assert privacy.main([str(tmp_path), "--json", str(tmp_path / "out.json")]) == 0
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["absent"] == ["datafog_*.json"]
    assert told["quality"]["zh_tw_x plain"]["TW_MOBILE"]["recall"] == 1.0
    assert told["quality"]["zh_tw_x negative (nothing private)"]["per_100_lines"] == 0.0
    assert told["quality"]["en_presidio_x en"]["EMAIL_ADDRESS"]["precision"] == 1.0
    assert "absent: datafog_*.json" in capsys.readouterr().out


def test_names_in_running_text_and_in_text_without_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(privacy, "HOSTILE", {})
    monkeypatch.setattr(privacy, "prose", lambda: ["word " * 30])
    monkeypatch.setattr(privacy, "BESIDE", tmp_path / "nowhere")
    (tmp_path / "names").write_text("林雅婷昨天打電話給林雅婷|林雅婷 林雅婷\n那天遇見穆罕|穆罕\n")
    (tmp_path / "plain").write_text("許多溫度紀錄\n\n請張貼公告\n")
    given = ["--running", str(tmp_path / "names"), "--ordinary", str(tmp_path / "plain")]
    assert privacy.main([*given, "--json", str(tmp_path / "out.json")]) == 0
    told = json.loads((tmp_path / "out.json").read_text())["quality"]
    assert told["names in names"]["PERSON"]["labels"] == 3
    assert told["names in names"]["PERSON"]["recall"] == 0.6667
    assert told["names in plain (nothing private)"] == {"lines": 2, "per_100_lines": 0.0, "kinds": {}}
    assert "names in plain" in capsys.readouterr().out


def test_absent_data_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(privacy, "HOSTILE", {})
    monkeypatch.setattr(privacy, "prose", lambda: ["word " * 30])
    monkeypatch.setattr(privacy, "BESIDE", tmp_path / "nowhere")
    assert privacy.main([]) == 0
    assert "No labelled data" in capsys.readouterr().err
