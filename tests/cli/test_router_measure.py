"""``nearfar router eval``, ``cascade`` and ``certify`` print what the labels show, and refuse to flatter."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Cli
from tests.cli.test_router import lines


@pytest.fixture
def file(cli: Cli) -> str:
    return cli.write(lines(300, answers=True), "labels.jsonl")


def test_eval_by_folds(cli: Cli, file: str) -> None:
    told = cli("router", "eval", "--labels", file, "--json").json
    found = told["reports"]["prompt alone"]
    assert told["how"] == "5 folds"
    assert found["prompts"] == 300
    assert 0.5 < found["apgr"]["value"] < found["oracle"]
    assert found["apgr"]["low"] < found["apgr"]["value"] < found["apgr"]["high"]
    assert {"cpt50", "cpt80", "calls95", "calls98", "cost95", "cost98", "length", "apgr_at_tenths"} <= set(found)
    shown = cli("router", "eval", "--labels", file)
    assert all(len(row) <= 80 for row in shown.out.splitlines()), shown.out
    assert float(cli("router", "eval", "--labels", file, "-q").out) == pytest.approx(found["apgr"]["value"], abs=1e-4)


def test_eval_of_a_router_leaves_out_what_it_has_seen(cli: Cli, file: str) -> None:
    out = str(cli.home / "r")
    assert cli("router", "fit", "--labels", file, "--out", out).code == 0
    again = cli("router", "eval", "--labels", file, "--router", out)
    assert again.code == 2
    assert "fitted on all" in again.err
    fresh = cli.write(lines(100, seed=1, answers=True), "fresh.jsonl")
    told = cli("router", "eval", "--labels", fresh, "--router", out, "--json").json
    assert told["reports"]["prompt alone"]["prompts"] == 100
    both = cli("router", "cascade", "--labels", fresh, "--router", out, "--json").json
    assert both["reports"]["trained"]["apgr"]["value"] > told["reports"]["prompt alone"]["apgr"]["value"]


def test_cascade(cli: Cli, file: str) -> None:
    told = cli("router", "cascade", "--labels", file, "--trained", "--json").json
    assert told["opinions"] == ["alpha", "beta"]
    assert set(told["reports"]) == {"untrained", "trained"}
    assert told["reports"]["untrained"]["apgr"]["value"] > 0.6
    bill = told["at_threshold"]
    assert 0 < bill["kept"] < 1
    assert 0 < bill["opinions"] <= 2
    assert bill["cost"] > 1 - bill["kept"]
    one = cli("router", "cascade", "--labels", file, "--opinions", "beta", "--json").json
    assert one["opinions"] == ["beta"]
    assert one["reports"]["untrained"]["apgr"]["value"] < told["reports"]["untrained"]["apgr"]["value"]
    shown = cli("router", "cascade", "--labels", file)
    assert "at threshold 0.5, untrained" in shown.out
    assert cli("router", "cascade", "--labels", file, "--opinions", "nobody").code == 1


def test_cascade_needs_answers(cli: Cli) -> None:
    told = cli("router", "cascade", "--labels", cli.write(lines(120), "bare.jsonl"))
    assert told.code == 2
    assert "local.answer" in told.err


def test_certify(cli: Cli, file: str) -> None:
    told = cli("router", "certify", "--labels", file, "--loss", "0.1", "--confidence", "0.9", "--json")
    assert told.code == 0, told.err
    (found,) = told.json["certificates"]
    assert found["certified"] is True
    assert found["bound"] <= 0.1
    assert 0.1 < found["local_share"] < 1
    assert told.json["how"] == "untrained cascade, opinions of alpha, beta"
    assert told.json["cascade_threshold"][""] == pytest.approx(1 - found["threshold"], abs=1e-8)
    shown = cli("router", "certify", "--labels", file, "--loss", "0.1")
    assert "at most 10.0% lost, with confidence 90% (300 pairs)" in shown.out
    assert "stay near" in shown.out
    assert "as the cascade.threshold of a route: 0." in shown.out
    half = cli("router", "certify", "--labels", file, "--loss", "0.1", "--prompt-only", "--json").json
    assert half["certificates"][0]["pairs"] == 150


def test_certify_says_when_it_cannot(cli: Cli) -> None:
    told = cli("router", "certify", "--labels", cli.write(lines(40, answers=True), "few.jsonl"))
    assert told.code == 1
    assert "no promise of 5.0% with 90%: 40 pairs are too few" in told.out
    wrong = cli("router", "certify", "--labels", "x", "--loss", "5")
    assert wrong.code == 2


def test_certify_by_group(cli: Cli) -> None:
    rows = lines(300, answers=True).splitlines()
    text = "".join(
        row.replace('"group":""', f'"group":"{"lab" if at < 40 else "ward"}"') + "\n" for at, row in enumerate(rows)
    )
    told = cli("router", "certify", "--labels", cli.write(text, "groups.jsonl"), "--loss", "0.1", "--json")
    found = {item["group"]: item for item in told.json["certificates"]}
    assert (found["lab"]["pairs"], found["ward"]["pairs"]) == (40, 260)
    assert found["ward"]["certified"]
    assert told.code == (0 if found["lab"]["certified"] else 1)
