"""``nearfar router eval``, ``cascade`` and ``certify`` print what the labels show, and refuse to flatter."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.cli.test_router import lines

from nearfar.tuning import certified


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


@pytest.fixture
def router(cli: Cli) -> str:
    made = str(cli.home / "r.npz")
    assert cli("router", "fit", "--labels", cli.write(lines(240, seed=5), "fit.jsonl"), "--out", made).code == 0
    return made


def test_certify_writes_what_a_route_takes(cli: Cli, file: str, router: str) -> None:
    out = cli.home / "c.json"
    told = cli("router", "certify", "--labels", file, "--router", router, "--loss", "0.1", "--out", str(out), "--json")
    assert told.code == 0, told.err
    (found,) = told.json["certificates"]
    written = certified.read(out, certified.digest(Path(router)))
    assert (written.threshold, written.bound, written.pairs) == (found["threshold"], found["bound"], found["pairs"])
    assert told.json["how"] == "router r.npz, prompt alone", "answers are there, and a gateway has none when it decides"
    assert found["pairs"] < 300, "what is novel to the router is not decided by it"
    assert "unlike the router's" in told.err


def test_nothing_is_written_that_cannot_be_promised(cli: Cli, router: str) -> None:
    out = str(cli.home / "c.json")
    few = cli.write(lines(40, seed=7), "few.jsonl")
    told = cli("router", "certify", "--labels", few, "--router", router, "--out", out)
    assert told.code == 1
    assert "is not written" in told.err
    assert not Path(out).exists()
    alone = cli("router", "certify", "--labels", few, "--out", out)
    assert (alone.code, "--out needs --router" in alone.err) == (2, True)


def test_a_certificate_is_for_one_group_and_a_router_with_enough_labels(cli: Cli, file: str, router: str) -> None:
    rows = Path(file).read_text(encoding="utf-8").splitlines()
    groups = "".join(row.replace('"group":""', f'"group":"{number % 2}"') + "\n" for number, row in enumerate(rows))
    out = str(cli.home / "c.json")
    two = cli("router", "certify", "--labels", cli.write(groups, "g.jsonl"), "--router", router, "--out", out)
    assert (two.code, "one certificate" in two.err) == (2, True)
    small = str(cli.home / "small.npz")
    cli("router", "fit", "--labels", cli.write(lines(60, seed=9), "few.jsonl"), "--out", small)
    told = cli("router", "certify", "--labels", file, "--router", small, "--out", out)
    assert (told.code, "60 labels" in told.err) == (2, True)
