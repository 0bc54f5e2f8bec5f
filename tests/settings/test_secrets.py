"""Secrets come from where the reference says and show nowhere."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path

import pytest

from nearfar.settings.environ import Environ
from nearfar.settings.errors import SettingsError
from nearfar.settings.secrets import hide_credentials, is_reference, resolve

VALUE = "sk-0123456789"


def test_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{VALUE}\n")
    environ = Environ({"A_KEY": VALUE, "HOME": str(tmp_path)})
    for reference in ("env:A_KEY", f"file:{tmp_path / 'key'}", "file:~/key"):
        secret = resolve(reference, environ)
        assert secret.reveal() == VALUE
        assert reference in repr(secret)
        assert VALUE not in f"{secret} {secret!r} {environ!r}"
        with pytest.raises(TypeError):
            pickle.dumps(secret)


@pytest.mark.parametrize(
    ("reference", "content"),
    [
        ("env:MISSING", b""),
        ("env:EMPTY", b""),
        ("env:TWO_LINES", b""),
        ("file:/nonexistent/key", b""),
        ("file:~/key", b""),
        ("file:~/key", b"two words " + VALUE.encode()),
        ("file:~/key", VALUE.encode() + b"\xff"),
        ("file:~/key", b"x" * 100_000),
        (VALUE, b""),
        ("env:not a name", b""),
        ("file:relative/path", b""),
    ],
)
def test_what_cannot_be_used_is_said_without_the_value(tmp_path: Path, reference: str, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    environ = Environ({"HOME": str(tmp_path), "EMPTY": " ", "TWO_LINES": f"{VALUE}\nInjected: {VALUE}"})
    with pytest.raises(SettingsError) as caught:
        resolve(reference, environ)
    assert VALUE not in "".join(traceback.format_exception(caught.value))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [("env:A", True), ("file:/a", True), ("file:~/a", True), ("env:", False), ("a", False), ("keyring:x", False)],
)
def test_references(text: str, expected: bool) -> None:
    assert is_reference(text) is expected


def test_credentials_in_addresses_are_hidden() -> None:
    assert hide_credentials("postgresql://me:pw@h:1/db") == "postgresql://***@h:1/db"
    assert hide_credentials("http://proxy:3128") == "http://proxy:3128"
    assert "pw" not in hide_credentials("http://[me:pw@h")
