"""Everything wrong at once: no mistake hides another one, and none is told twice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nearfar.cli import findings
from nearfar.settings.load import Draft, examine

BAD = """prot = 1
[server]
port = "x"
tls_cert = "/nonexistent/c.pem"
tls_key = "/nonexistent/k.pem"
[engine]
slots = 0
[deployments.a]
provider = "opnai"
model = "m"
[deployments.b]
provider = "openai"
key = "sk-hunter2"
[deployments.c]
provider = "openai-compatible"
model = "x"
[deployments.d]
provider = "openai"
model = "gpt"
key = "env:NOPE"
[deployments.e]
provider = "openai"
model = "gpt"
[deployments."f f"]
provider = "openai"
model = "gpt"
key = "env:NOPE"
[routes.r]
deployments = ["a", "b", "f f", "z"]
strategy = "nearest"
[routes.s]
[ledger]
url = "env:DBURL"
"""


def draft(home: Path, text: str, **environ: str) -> Draft:
    file = home / "c.toml"
    file.write_text(text, encoding="utf-8")
    return examine(config=file, environ={"HOME": str(home), **environ}, system=home / "none.toml")


def test_one_look_finds_everything_with_its_line(tmp_path: Path) -> None:
    found = findings.look(draft(tmp_path, BAD, OLLAMA_HOST=":::"))
    told = [(problem.key, problem.origin.rpartition(":")[2]) for problem in found.problems]
    assert told == [
        ("prot", "1"),
        ("server.port", "3"),
        ("server.tls_cert", "4"),
        ("engine.slots", "7"),
        ("deployments.a.provider", "9"),
        ("deployments.b.model", "11"),
        ("deployments.b.key", "13"),
        ("deployments.c.base_url", "15"),
        ('deployments."f f"', "24"),
        ("routes.r.deployments", "29"),
        ("routes.r.strategy", "30"),
        ("routes.s.deployments", "31"),
        ("ledger.url", "33"),
        ("", "env OLLAMA_HOST"),
    ]
    assert [(problem.key, problem.origin.rpartition(":")[2]) for problem in found.warnings] == [
        ("deployments.d.key", "20"),
        ("deployments.e.key", "22"),
    ]
    assert "'z'" in next(problem.message for problem in found.problems if problem.key == "routes.r.deployments")
    assert "hunter2" not in str(found)


def test_what_is_not_toml_hides_only_its_own_file(tmp_path: Path) -> None:
    user = tmp_path / ".config/nearfar/config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("[engine]\nslots = 0\n")
    found = findings.look(draft(tmp_path, "[server\nport = 1\n", NEARFAR_OFFLINE="perhaps"))
    assert [problem.origin for problem in found.problems] == [
        f"file {user}:2",
        f"file {tmp_path / 'c.toml'}:1",
        "env NEARFAR_OFFLINE",
    ]


def test_a_file_that_is_not_there_hides_nothing(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "NEARFAR_ENGINE__SLOTS": "0"}
    found = findings.look(examine(config=tmp_path / "no.toml", environ=environ, system=tmp_path / "none.toml"))
    assert [problem.origin for problem in found.problems] == ["flag --config", "env NEARFAR_ENGINE__SLOTS"]


def test_what_is_sound_stands(tmp_path: Path) -> None:
    made = draft(tmp_path, BAD)
    assert made.loaded.settings.server.port == 8642
    assert set(made.loaded.settings.deployments) == {"a", "c", "d", "e"}
    assert made.loaded.settings.routes == {}


def test_a_sound_configuration(tmp_path: Path) -> None:
    found = findings.look(draft(tmp_path, "offline = true\n"))
    assert (found.problems, found.warnings) == ([], [])


def test_what_encrypts_kept_responses_must_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = draft(tmp_path, "[responses]\nkeep_hours = 1\n")
    assert findings.look(keeping).problems == []
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.delitem(sys.modules, "nearfar.store.cipher", raising=False)
    monkeypatch.delattr("nearfar.store.cipher", raising=False)
    (problem,) = findings.look(keeping).problems
    assert (problem.key, problem.origin.rpartition(":")[2]) == ("responses.keep_hours", "2")
    assert "[store]" in problem.hint
