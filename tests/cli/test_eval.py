"""``nearfar eval`` as its users call it: a real engine with a tiny model, and a stand-in for a cloud."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import stand_in
from tests.cli import serving
from tests.cli.conftest import Cli

from nearfar.ledger import query

PROMPTS = """
{"id": "sum", "prompt": "What is 2 + 3?", "answer": 5, "task": "sums"}
{"id": "whale", "prompt": "Which is a mammal? A) trout B) whale", "answer": "B", "task": "choices"}
{"id": "剩多少", "prompt": "小明有三萬元，花了一萬元，剩多少？", "answer": "兩萬", "task": "sums", "level": 2}
"""
BASE = ["--on", "near", "--on", "far", "--max-tokens", "16"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with prompts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.jsonl").write_text(PROMPTS, encoding="utf-8")
    return tmp_path


def five(cloud: stand_in.Running) -> None:
    cloud.behave(says=("The", " answer", " is", " 5."))


def test_at_a_running_gateway(cli: Cli, place: Path, server: serving.Server, cloud: stand_in.Running) -> None:
    five(cloud)
    done = cli(
        *("eval", "p.jsonl", *BASE, "--url", server.url, "--labels", "l.jsonl", "--out", "r.html", "--max-cost", "1"),
        *("--opinion", "near-first"),
    )
    assert done.code == 0, done.err
    assert "not used in p.jsonl: level" in done.err
    assert "score (95 %)" in done.out
    assert "near less far" in done.out
    assert "nearfar router eval --labels l.jsonl" in done.out
    labels = [json.loads(line) for line in (place / "l.jsonl").read_text().splitlines()]
    assert [item["id"] for item in labels] == ["sum", "whale", "剩多少"]
    assert [item["cloud"]["score"] for item in labels] == [1, 0, 0]
    assert all(item["local"]["logprobs"] for item in labels)
    assert all(item["local"]["cost"] == 0 < item["cloud"]["cost"] for item in labels)
    assert "<table" in (place / "r.html").read_text()
    kept = (place / "p.results.jsonl").read_text().splitlines()
    assert len(kept) == 9
    assert all(item["opinions"][0]["model"] == "near-first" and item["opinions"][0]["answer"] for item in labels)
    cascade = cli("router", "cascade", "--labels", "l.jsonl", "--json")
    assert cascade.code == 0, cascade.err
    assert cascade.json["reports"]["untrained"]["prompts"] == 3
    # In Chinese, from what is there already: nobody is asked again.
    before = len(cloud.report().requests)
    again = cli("eval", "p.jsonl", *BASE, "--url", server.url, "--labels", "l.jsonl", "--resume", "--lang", "zh-TW")
    assert again.code == 0, again.err
    assert "並列比較" in again.out
    assert "holds 9 answers" in again.err
    assert len(cloud.report().requests) == before
    cloud.behave()


def test_in_this_process_and_in_its_ledger(cli: Cli, place: Path, tiny_gguf: Path, cloud: stand_in.Running) -> None:
    five(cloud)
    models = place / ".local/share/nearfar/models"
    models.mkdir(parents=True)
    (models / "tiny-chat.gguf").symlink_to(tiny_gguf)
    config = str(serving.write_config(place, cloud.url))
    own = ("--config", config, "--set", "server.port=1")
    done = cli("eval", "p.jsonl", *BASE, *own, "--json", "--limit", "2", "--concurrency", "3")
    assert done.code == 0, done.err
    near, far = done.json["sides"]
    assert (near["place"], near["cost"], near["answered"]) == ("device", 0, 2)
    assert (far["place"], far["answered"], far["score"]["value"]) == ("cloud", 2, 0.5)
    with contextlib.closing(query.open_ledger(f"sqlite:///{place / '.local/state/nearfar/ledger.db'}")) as ledger:
        entries = query.entries(ledger)
    assert {entry.purpose for entry in entries} == {"eval"}
    assert sum(entry.cost or 0 for entry in entries) == near["cost"] + far["cost"] == done.json["spent"]
    usage = cli("usage", "--purpose", "eval", "--by", "deployment", "--json", *own)
    assert sum(row["attempts"] for row in usage.json["groups"]) == 4
    cloud.behave()


@pytest.mark.slow
def test_what_a_policy_says_of_judges_holds_for_this_one(
    cli: Cli, place: Path, tiny_gguf: Path, cloud: stand_in.Running
) -> None:
    models = place / ".local/share/nearfar/models"
    models.mkdir(parents=True)
    (models / "tiny-chat.gguf").symlink_to(tiny_gguf)
    near = "".join(f'{name} = "device"\n' for name in ("public", "internal", "confidential", "restricted"))
    policy = cli.write(f'name = "own"\ndate = 2026-11-22\nextends = "default"\n[purposes.judge]\n{near}', "policy.toml")
    config = serving.write_config(place, cloud.url)
    config.write_text(config.read_text() + f'[policy]\nfile = "{policy}"\n[server]\nport = 1\n')
    (place / "free.jsonl").write_text('{"prompt": "Say hello."}\n')
    before = len(cloud.report().requests)
    done = cli("eval", "free.jsonl", *BASE, "--judge", "far-first", "--config", str(config), "--json")
    assert done.code == 0, done.err
    # One question for the far deployment; its judge is asked near, on a route that would go far first.
    assert len(cloud.report().requests) == before + 1
    assert done.json["judge"]["verdicts"] == 2
    usage = cli("usage", "--purpose", "judge", "--by", "deployment", "--json", "--config", str(config))
    assert [row["group"]["deployment"] for row in usage.json["groups"]] == ["near"]


@pytest.mark.parametrize("language", ["en", "zh-Hant"])
def test_the_example_of_the_documentation(
    cli: Cli, place: Path, server: serving.Server, cloud: stand_in.Running, language: str
) -> None:
    example = Path(__file__).parents[2] / "docs" / "examples" / f"prompts-{language}.jsonl"
    done = cli("eval", str(example), *BASE, "--url", server.url, "--json", "--out", "r.md")
    assert done.code == 0, done.err
    assert done.json["how"] == {"number": 3, "choice": 2, "exact": 3, "code": 1, "none": 1}
    assert [side["answered"] for side in done.json["sides"]] == [10, 10]
    assert (place / f"prompts-{language}.results.jsonl").exists()


def test_what_may_not_leave_does_not(cli: Cli, place: Path, server: serving.Server, cloud: stand_in.Running) -> None:
    before = len(cloud.report().requests)
    done = cli("eval", "p.jsonl", *BASE, "--judge", "far-first", "--class", "restricted", "--url", server.url, "--json")
    assert done.code == 0, done.err
    near, far = done.json["sides"]
    assert (near["answered"], near["place"]) == (3, "device")
    assert (far["answered"], far["errors"], far["cost"], far["cost_unknown"]) == (0, {"egress_denied": 3}, 0, 0)
    assert done.json["spent"] == 0
    assert len(cloud.report().requests) == before


def test_a_ceiling_ends_it_with_1(cli: Cli, place: Path, server: serving.Server, cloud: stand_in.Running) -> None:
    five(cloud)
    quiet = cli("eval", "p.jsonl", *BASE, "--url", server.url, "--max-cost", "0.01", "--quiet")
    assert (quiet.code, quiet.out.splitlines()[1]) == (0, "far 0.3333")
    none = cli("eval", "p.jsonl", *BASE, "--url", server.url, "--max-cost", "0.0001", "--results", "x.jsonl", "--json")
    assert none.code == 1
    assert "more than the ceiling" in none.json["stopped"]
    assert none.json["spent"] == 0
    cloud.behave()


def test_a_cloud_that_is_down_is_an_error_and_what_came_is_kept(
    cli: Cli, place: Path, server: serving.Server, cloud: stand_in.Running
) -> None:
    cloud.behave("401")
    done = cli("eval", "p.jsonl", *BASE, "--url", server.url)
    cloud.behave()
    assert done.code != 0
    assert "far does not answer" in done.err
    assert any(json.loads(line).get("heard") for line in (place / "p.results.jsonl").read_text().splitlines())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["p.jsonl", "--on", "nobody"], "There is no 'nobody'"),
        (["p.jsonl", "--on", "near", "--on", "near"], "twice"),
        (["p.jsonl", "--on", "near", "--labels", "l"], "--labels needs two"),
        (["p.jsonl", *BASE, "--score", "judge"], "needs --judge"),
        (["p.jsonl", *BASE, "--judge", "far"], "one of those to be judged"),
        (["p.jsonl", "--on", "near", "--judge", "far"], "name two --on"),
        (["p.jsonl", *BASE, "--score", "code"], "say --run-code"),
        (["p.jsonl", *BASE, "--score", "taste"], "'taste' is none"),
        (["p.jsonl", *BASE, "--out", "r.pdf"], ".md, .html or .json"),
        (["p.jsonl", *BASE, "--lang", "fr"], "en or zh-TW"),
        (["p.jsonl", *BASE, "--max-cost", "nan"], "no amount"),
        (["p.jsonl", *BASE, "--class", "secret"], "secret"),
        (["p.jsonl", *BASE, "--columns", "prompt"], "not OURS=THEIRS"),
        (["p.jsonl", *BASE, *(word for name in "abc" for word in ("--opinion", name))], "At most 2 opinions"),
        (["p.jsonl", *(word for name in "abcde" for word in ("--on", name))], "At most 4"),
        (["none.jsonl", *BASE], "cannot be read"),
        (["hf:a:b:c:d", *BASE], "names no data set"),
    ],
)
def test_what_makes_no_sense(cli: Cli, place: Path, server: serving.Server, args: list[str], said: str) -> None:
    done = cli("eval", *args, "--url", server.url)
    assert done.code in {1, 2}
    assert said in done.err
    assert not list(place.glob("*.results.jsonl"))


def test_an_earlier_run_is_not_overwritten(cli: Cli, place: Path, server: serving.Server) -> None:
    (place / "p.results.jsonl").write_text("")
    done = cli("eval", "p.jsonl", *BASE, "--url", server.url)
    assert done.code != 0
    assert "--resume" in done.err


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """What is started within hears the interrupt, which a shell's background jobs and all below them ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_ctrl_c_keeps_what_came(place: Path, server: serving.Server, cloud: stand_in.Running) -> None:
    """As a program, because the signal must find it: the near answer comes, the far one takes its time."""
    cloud.behave(chunks=64, chunk_ms=1000)
    asked = len(cloud.report().requests)
    command = [sys.executable, "-m", "nearfar", "eval", "p.jsonl", *BASE, "--concurrency", "1", "--url", server.url]
    with interruptible():
        process = subprocess.Popen(
            command,
            cwd=place,
            env={"HOME": str(place), "PATH": os.defpath},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:  # closes its pipes, and waits for it
        try:
            while len(cloud.report().requests) == asked:
                assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=serving.WAIT)
        finally:
            process.kill()
            cloud.behave()
    assert process.returncode == 130
    assert "1 answers are kept in p.results.jsonl. Go on with --resume." in said
    records = [json.loads(line) for line in (place / "p.results.jsonl").read_text().splitlines()]
    assert [(item["on"], item.get("error", "")) for item in records] == [("near", ""), ("far", "cancelled")]
