"""A certificate as a file: what is written is read, and nothing else is believed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nearfar.tuning.certified import BadCertificate, Certified, digest, read, write

GOOD = Certified(
    router="a" * 64,
    date="2026-11-22",
    threshold=0.12,
    loss=0.05,
    confidence=0.9,
    pairs=300,
    bound=0.049,
    observed=0.02,
    local_share=0.3,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write(path, GOOD)
    assert read(path, GOOD.router) == GOOD
    assert [item.name for item in tmp_path.iterdir()] == ["c.json"]


def test_it_belongs_to_one_router_file(tmp_path: Path) -> None:
    path, router = tmp_path / "c.json", tmp_path / "r"
    router.write_bytes(b"one")
    write(path, msgspec.structs.replace(GOOD, router=digest(router)))
    assert read(path, digest(router)).pairs == 300
    router.write_bytes(b"another")
    with pytest.raises(BadCertificate, match="another router file") as caught:
        read(path, digest(router))
    assert "nearfar router certify" in caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 7.0},
        {"loss": 0.0},
        {"loss": 1.0},
        {"confidence": 2.0},
        {"format": 9},
        {"threshold": "a"},
        {"extra": 1},
    ],
)
def test_what_no_certificate_says_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(msgspec.json.encode(msgspec.to_builtins(GOOD) | change))
    with pytest.raises(BadCertificate, match=r"c\.json"):
        read(path, GOOD.router)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe", b"{" * 100_000])
def test_what_is_no_certificate_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(data)
    with pytest.raises(BadCertificate, match="is no certificate"):
        read(path, GOOD.router)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match="cannot be read: No such file"):
        read(tmp_path / "c.json", GOOD.router)
