"""The comparison: every peer is measured alike, what it calls things is told in our kinds, absent data is said."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import privacy_peers

PEER = """
import json, sys
texts = json.load(sys.stdin)
found = [[(t.index("a@"), t.index("a@") + 7, "EMAIL_ADDRESS"), (0, 2, "odd")] if "a@" in t else [] for t in texts]
json.dump({"found": found, "seconds": 0.5, "version": "7"}, sys.stdout)
"""
"""Stands for a peer: it finds one address, and something that nobody asked for."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [
        {"text": "請寄 a@b.org", "spans": [{"start": 3, "end": 10, "label": "EMAIL"}], "variant": "plain"},
        {"text": "手機0912-345-678", "spans": [{"start": 2, "end": 14, "label": "TW_MOBILE"}], "variant": "plain"},
        {"text": "沒有", "spans": [], "variant": "plain"},
    ]
    (folder / "zh_tw_x.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    return folder


def test_all_are_measured_alike(tmp_path: Path, data: Path) -> None:
    program = tmp_path / "peer.py"
    program.write_text(PEER)
    result = privacy_peers.report(data, {"presidio": (Path(sys.executable), str(program))})
    rows = result["quality"]["zh_tw_x plain"]
    ours, theirs = rows["nearfar"]["labels"], rows["presidio"]["labels"]
    assert (ours["EMAIL"]["recall"], theirs["EMAIL"]["recall"]) == (1.0, 1.0)
    assert (ours["TW_MOBILE"]["leaks"], theirs["TW_MOBILE"]["leaks"]) == (0, 1)
    assert rows["presidio"]["alarms"]["lines"] == 1
    assert result["peers"]["presidio"]["version"] == "7"
    assert result["peers"]["presidio"]["ms_per_kB"] > 0
    assert result["not measured"]


def test_a_peer_that_fails_fails_the_run(tmp_path: Path, data: Path) -> None:
    program = tmp_path / "peer.py"
    program.write_text("raise SystemExit('no such model')")
    with pytest.raises(RuntimeError, match="no such model"):
        privacy_peers.report(data, {"litellm": (Path(sys.executable), str(program))})


def test_without_data_nothing_is_compared(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy_peers, "BESIDE", tmp_path / "absent")
    assert privacy_peers.main([]) == 1
    assert "No labelled data" in capsys.readouterr().err
    assert privacy_peers.main([str(data), "--json", str(tmp_path / "out.json")]) == 0
    told = capsys.readouterr()
    assert "presidio is not asked" in told.err
    assert "not measured: GLiNER" in told.out
    assert json.loads((tmp_path / "out.json").read_text())["peers"].keys() == {"nearfar"}
