import subprocess
import sys

import pytest

from nearfar.wire import registry


def test_a_wire_is_found_by_its_name() -> None:
    assert registry.client_wire("openai.chat").name == "openai.chat"
    assert registry.provider_wire("openai.chat").name == "openai.chat"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(LookupError, match=r"no wire named 'openai.chta'.*openai_chat"):
        registry.provider_wire("openai.chta")


@pytest.mark.parametrize("name", ["strict", "base", "sse"])
def test_a_module_of_the_room_is_not_yet_a_wire(name: str) -> None:
    with pytest.raises(LookupError, match="not spoken to clients"):
        registry.client_wire(name)
    with pytest.raises(LookupError, match="not spoken to providers"):
        registry.provider_wire(name)


def test_names_and_files_agree() -> None:
    for client in registry.client_wires():
        assert registry.client_wire(client.name) is client
    for provider in registry.provider_wires():
        assert registry.provider_wire(provider.name) is provider


def test_asking_for_one_wire_imports_no_other() -> None:
    code = (
        "import sys; from nearfar.wire import registry; registry.client_wire('openai.chat');"
        "print([name for name in sys.modules if 'anthropic' in name or 'ollama' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
