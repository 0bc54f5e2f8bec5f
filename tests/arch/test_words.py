"""No tracked file names a machine, a package index or a credential."""

from __future__ import annotations

import re

import pytest
from tests.arch.source import ROOT, tracked

BANNED = {
    "a path of one machine": r"(?<![\w.~}])/(?:work|root|farm|Users)/|/tmp/(?:v0|bash_jobs)",
    "a person's home": r"(?<![\w.])/home/(?!user|you|nearfar)\w+/",
    "a package index": r"pypi\.org|pythonhosted|(?:extra-)?index-url\s*[= ]\s*\S*//|find-links\s*[= ]\s*\S*/",
    "a provider's key": r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,}|\bgh[pousr]_[A-Za-z0-9]{30,}|\bAKIA[0-9A-Z]{16}\b",
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\n[A-Za-z0-9+/=\n]{40,}",
}
HERE = "tests/arch/test_words.py"


def found(text: str) -> list[str]:
    return [what for what, pattern in BANNED.items() if re.search(pattern, text)]


def test_no_banned_words() -> None:
    rows = []
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        data = path.read_bytes()
        if name == HERE or b"\0" in data[:4096]:
            continue
        rows += [f"{name}: {what}" for what in found(data.decode("utf-8", "replace"))]
    assert not rows, "\n".join(rows)


@pytest.mark.parametrize(
    "text",
    [
        "cp x /work/main/y",
        "open('/root/.cache')",
        "see /home/alice/x",
        "https://pypi.org/simple",
        "--index-url https://example.org/simple",
        "key = sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
    ],
)
def test_each_pattern_can_match(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize(
    "text", ["framework/main", "/usr/bin", "${HOME}/work/x", "the sk- prefix", "/home/user/models", "src/root/x"]
)
def test_plain_words_pass(text: str) -> None:
    assert not found(text)
