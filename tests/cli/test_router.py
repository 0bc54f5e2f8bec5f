"""``nearfar router fit`` and ``score``: a file of labels becomes a file that scores prompts."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest
from tests.cli.conftest import Cli
from tests.tuning import made


def lines(count: int, *, seed: int = 0, answers: bool = False) -> str:
    return "".join(msgspec.json.encode(item).decode() + "\n" for item in made.labels(count, seed=seed, answers=answers))


def test_fit_and_score(cli: Cli) -> None:
    file = cli.write(lines(240, answers=True), "labels.jsonl")
    out = str(cli.home / "r.npz")
    told = cli("router", "fit", "--labels", file, "--out", out, "--json")
    assert told.code == 0, told.err
    assert told.json["from"] == ["prompts", "near answers"]
    assert told.json["opinions"] == ["alpha", "beta"]
    assert told.json["trusted"] is True
    prompts = cli.write(
        json.dumps({"id": "easy", "prompt": "What about the cat dog bird fish, number 3 of 4?"})
        + "\n"
        + json.dumps({"id": "hard", "prompt": "What about the matrix lemma proof tensor, number 3 of 4?"})
        + "\n",
        "prompts.jsonl",
    )
    rows = {row["id"]: row for row in cli("router", "score", "--router", out, prompts, "--json").json["prompts"]}
    assert rows["hard"]["gap"] > rows["easy"]["gap"]
    assert cli("router", "score", "--router", out, prompts, "-q").out == "easy\nhard\n"
    shown = cli("router", "score", "--router", out, prompts).out.splitlines()
    assert shown[0].split() == ["ID", "GAIN", "NOVEL", "TRUSTED"]


def test_few_labels_are_said(cli: Cli) -> None:
    file = cli.write(lines(40), "labels.jsonl")
    told = cli("router", "fit", "--labels", file, "--out", str(cli.home / "r"))
    assert told.code == 0
    assert "learned from 40 labels (prompts)" in told.out
    assert "it takes 200 labels" in told.err
    before = (cli.home / "r").read_bytes()
    again = cli("router", "fit", "--labels", file, "--out", str(cli.home / "r"))
    assert (again.code, "exists already" in again.err) == (2, True)
    assert (cli.home / "r").read_bytes() == before
    fewer = cli("router", "fit", "--labels", cli.write(lines(10), "few.jsonl"), "--out", str(cli.home / "s"))
    assert fewer.code == 2
    assert "at least 20" in fewer.err


def test_bad_files_are_named(cli: Cli) -> None:
    bad = cli.write(lines(3) + "{}\n", "labels.jsonl")
    told = cli("router", "fit", "--labels", bad, "--out", str(cli.home / "r"))
    assert told.code == 1
    assert "Line 4" in told.err
    other = cli("router", "score", "--router", bad, bad)
    assert other.code == 1
    assert "is no router" in other.err
    assert "nearfar router fit makes one" in other.err


def test_without_numpy_it_says_what_to_install(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    told = cli("router", "eval", "--labels", cli.write(lines(3), "labels.jsonl"))
    assert told.code == 2
    assert "nearfar[tuning]" in told.err
