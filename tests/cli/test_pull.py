"""``nearfar models pull`` and ``verify``, against a Hub on loopback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import fake_hub
from tests.cli.conftest import Cli, Result
from tests.fake_hub import FakeHub

from nearfar.cli import pull

REPO = "someone/Tiny-GGUF"


@pytest.fixture
def hub(tiny_gguf: Path) -> Iterator[FakeHub]:
    with fake_hub.running() as running:
        data = tiny_gguf.read_bytes()
        # Zeros at the end make files of different sizes; what a header says is the same.
        running.repos[REPO] = {"tiny-Q4_K_M.gguf": data, "tiny-Q8_0.gguf": data + bytes(4096)}
        running.cards[REPO] = {"license": "apache-2.0"}
        yield running


def asked(cli: Cli, hub: FakeHub, *args: str, **environ: str) -> Result:
    return cli("models", *args, HF_ENDPOINT=hub.url, **environ)


def memory(monkeypatch: pytest.MonkeyPatch, count: float) -> None:
    monkeypatch.setattr(pull, "_memory", lambda _: count)


def origins(cli: Cli) -> list[Any]:
    return [json.loads(path.read_bytes()) for path in sorted(cli.home.rglob("origins/*.json"))]


def test_the_best_type_that_fits_is_fetched_and_usable(cli: Cli, hub: FakeHub) -> None:
    result = asked(cli, hub, "pull", REPO, "--quiet")
    assert (result.code, result.out) == (0, "tiny-q8_0\n"), result.err
    assert "tiny-q8_0" in cli("models", "ls", "--quiet").out
    (origin,) = origins(cli)
    assert (origin["repo"], origin["file"], origin["licence"]) == (REPO, "tiny-Q8_0.gguf", "apache-2.0")
    assert cli("models", "verify", "tiny-q8_0").code == 0
    assert not list(cli.home.rglob("models--*")), "the bytes lie in the library alone"


def test_less_memory_chooses_a_smaller_type_and_none_is_said(
    cli: Cli, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = len(hub.repos[REPO]["tiny-Q4_K_M.gguf"])
    memory(monkeypatch, small * 1.1 + 10)
    assert asked(cli, hub, "pull", REPO, "--dry-run", "--json").json["file"] == "tiny-Q4_K_M.gguf"
    memory(monkeypatch, small)
    result = asked(cli, hub, "pull", REPO)
    assert result.code == 1
    assert "fits" in result.err
    assert "nearfar fit" in result.err
    # Whoever names a type knows what they do.
    assert asked(cli, hub, "pull", f"{REPO}:Q4_K_M", "--quiet").code == 0


def test_a_dry_run_reads_a_header_and_fetches_nothing(cli: Cli, hub: FakeHub) -> None:
    told = asked(cli, hub, "pull", f"{REPO}:q4_k_m", "--dry-run", "--json").json
    assert told["architecture"]
    assert told["sha256"]
    assert cli("models", "ls", "--quiet").out == "demo-tiny\n"


def test_the_same_bytes_are_fetched_once(cli: Cli, hub: FakeHub) -> None:
    asked(cli, hub, "pull", REPO, "--quiet")
    before = hub.fetched()
    assert asked(cli, hub, "pull", REPO).out == "tiny-q8_0\n"
    assert hub.fetched() == before


def test_terms_that_bind_are_accepted_by_a_person(cli: Cli, hub: FakeHub) -> None:
    hub.cards[REPO] = {"license": "other", "license_name": "gemma"}
    refused = asked(cli, hub, "pull", REPO)
    assert refused.code == 2
    assert "gemma" in refused.err
    assert "--yes" in refused.err
    assert not origins(cli)
    assert asked(cli, hub, "pull", REPO, "--yes", "--quiet").code == 0


def test_gated_repositories_need_a_token(cli: Cli, hub: FakeHub) -> None:
    hub.gated.add(REPO)
    refused = asked(cli, hub, "pull", REPO, "--yes")
    assert refused.code == 1
    assert "HF_TOKEN" in refused.err
    assert asked(cli, hub, "pull", REPO, "--yes", "--quiet", HF_TOKEN=hub.token).code == 0


def test_a_model_that_changed_on_the_disk_is_found(cli: Cli, hub: FakeHub) -> None:
    asked(cli, hub, "pull", REPO, "--quiet")
    (path,) = cli.home.rglob("tiny-q8_0.gguf")
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + b"\x01")
    result = cli("models", "verify", "tiny-q8_0")
    assert result.code == 1
    assert "fetch it again" in result.err
    assert cli("models", "verify", "demo-tiny").code == 1


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("someone/Nothing", "knows no someone/Nothing"),
        (f"{REPO}:Q2_K", "Q4_K_M, Q8_0"),
        ("tiny", "OWNER/NAME"),
        ("someone/Parts", "llama-gguf-split"),
        ("someone/Torch", "no GGUF"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(cli: Cli, hub: FakeHub, what: str, told: str) -> None:
    hub.repos["someone/Parts"] = {f"big-Q4_K_M-0000{n}-of-00002.gguf": b"GGUF" for n in (1, 2)}
    hub.repos["someone/Torch"] = {"model.safetensors": b"x", "config.json": b"{}"}
    result = asked(cli, hub, "pull", f"{what}:Q4_K_M" if what.endswith("Parts") else what)
    assert result.code in {1, 2}
    assert told in result.err
    assert not origins(cli)


def test_offline_asks_nobody(cli: Cli, hub: FakeHub) -> None:
    assert asked(cli, hub, "pull", REPO, "--set", "offline=true").code == 1
    assert not hub.asked


def test_a_full_disk_is_noticed_before(cli: Cli, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=1000))
    result = asked(cli, hub, "pull", REPO)
    assert result.code == 1
    assert "are free" in result.err
    assert not origins(cli)


def test_a_file_that_is_no_model_is_refused_before_it_is_fetched(cli: Cli, hub: FakeHub) -> None:
    hub.repos[REPO] = {"bad-Q4_K_M.gguf": b"not a model" * 1000}
    result = asked(cli, hub, "pull", REPO)
    assert result.code == 1
    assert not origins(cli)
