"""What the standard variables mean."""

from __future__ import annotations

import pytest

from nearfar.settings.environ import Environ
from nearfar.settings.errors import SettingsError


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", ""),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("0.0.0.0:5000", "http://127.0.0.1:5000"),
        (":5000", "http://127.0.0.1:5000"),
        ("http://box", "http://box:80"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ("[::]:1", "http://[::1]:1"),
        ("box.lan:11434", "http://box.lan:11434"),
    ],
)
def test_ollama_host(value: str, url: str) -> None:
    assert Environ({"OLLAMA_HOST": value}).ollama_url == url


@pytest.mark.parametrize("value", ["ftp://x", "http://a:b@c", "a b", "h:0", "h:70000", "http://x\r\nHost: y", "::1"])
def test_a_bad_ollama_host_is_an_error(value: str) -> None:
    with pytest.raises(SettingsError, match="OLLAMA_HOST"):
        _ = Environ({"OLLAMA_HOST": value}).ollama_url


def test_names_are_shown_and_values_are_not() -> None:
    environ = Environ({"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "", "SSL_CERT_FILE": "/ca.pem"})
    assert environ.present(["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]) == ("OPENAI_API_KEY",)
    assert environ.ssl_cert_file == "/ca.pem"
    assert "sk-1" not in repr(environ)


def test_the_snapshot_does_not_follow() -> None:
    values = {"A": "1"}
    environ = Environ(values)
    values["A"] = "2"
    assert environ.get("A") == "1"
    environ.values()["A"] = "3"
    assert environ.values() == {"A": "1"}
