import ast
import subprocess
import sys
from collections.abc import Callable

import pytest

from nearfar.providers import registry


def test_names_are_file_names() -> None:
    assert {"openai", "anthropic", "ollama", "openai-compatible", "embedded"} <= set(registry.names())
    assert "base" not in registry.names()
    assert registry.names() == sorted(registry.names())


def test_find() -> None:
    assert registry.find("openai-compatible").name == "openai-compatible"
    assert registry.load_all().keys() == set(registry.names())


@pytest.mark.parametrize(("name", "near"), [("ollma", "ollama"), ("openai_compatible", "openai-compatible")])
def test_an_unknown_name_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(LookupError, match=f"no provider named '{name}'. Nearest: .*{near}"):
        registry.find(name)


def test_a_name_near_to_none_gets_all() -> None:
    with pytest.raises(LookupError, match="There are: anthropic, "):
        registry.find("zzz")


def test_names_are_read_without_importing_any() -> None:
    code = (
        "import sys; from nearfar.providers import registry; registry.names();"
        "print([name for name in sys.modules if name.startswith('nearfar.providers.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    tools = {f"nearfar.providers.{name}" for name in ("base", "listing", "presets", "registry")}
    assert set(ast.literal_eval(done.stdout)) == tools


NESTED = b"[" * 100_000


@pytest.mark.parametrize("page", [b'{"x":' + NESTED, b'{"models":[{"x":' + NESTED, b'{"data":[{"x":' + NESTED, NESTED])
def test_no_answer_of_a_local_process_breaks_a_reader(page: bytes) -> None:
    """Whoever listens on a loopback port may answer anything, and every request for ``auto`` asks there."""
    for provider in registry.load_all().values():
        readers: list[Callable[[bytes], object]] = [probe.read for probe in provider.probes]
        if provider.life is not None:
            readers.append(provider.life.read)
        if provider.life is not None and provider.life.read_shown is not None:
            readers.append(provider.life.read_shown)
        for read in readers:
            assert read(page) is None, provider.name
