"""Each source says what it says, with where it says it."""

from __future__ import annotations

from pathlib import Path

from nearfar.settings import sources
from nearfar.settings.environ import Environ

TEXT = '''\
# a comment = 1
offline = true
server.port = 1

[deployments."a.b"]
provider = "x"   # = not a key
model = """
model = "inside"
[server]
"""
price = { input = 1, output = 2 }
[ deployments . c ]
'k 1' = 3
'''


def test_lines_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(TEXT)
    layer = sources.from_file(file)
    origins = {path: leaf.origin.rpartition(":")[2] for path, leaf in layer.leaves.items()}
    assert origins == {
        ("offline",): "2",
        ("server", "port"): "3",
        ("deployments", "a.b", "provider"): "6",
        ("deployments", "a.b", "model"): "7",
        ("deployments", "a.b", "price", "input"): "11",
        ("deployments", "a.b", "price", "output"): "11",
    }
    (problem,) = layer.problems
    assert problem.origin == f"file {file}:13"


def test_a_variable_finds_the_name_it_cannot_spell() -> None:
    known = [("deployments",), ("deployments", "GPT-4.1")]
    layer = sources.from_environ(Environ({"NEARFAR_DEPLOYMENTS__GPT_4_1__MODEL": "m"}), known)
    assert list(layer.leaves) == [("deployments", "GPT-4.1", "model")]
    other = sources.from_environ(Environ({"NEARFAR_DEPLOYMENTS__NEW_ONE__MODEL": "m"}), known)
    assert list(other.leaves) == [("deployments", "new_one", "model")]


def test_proxies_of_the_environment() -> None:
    layer = sources.from_standard(Environ({"HTTP_PROXY": "p:1", "no_proxy": "a, b", "NO_PROXY": "c"}))
    assert {path: leaf.value for path, leaf in layer.leaves.items()} == {
        ("proxy", "http"): "http://p:1",
        ("proxy", "no_proxy"): ("a", "b"),
    }


def test_flags() -> None:
    layer = sources.from_flags({"server.port": "1", "engine.slots": "x"})
    assert layer.leaves[("server", "port")].origin == "flag --port"
    assert [problem.origin for problem in layer.problems] == ["flag --set engine.slots"]
