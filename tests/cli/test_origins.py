"""Where fetched models came from: kept, told, forgotten."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from nearfar.cli.origins import Origin, Origins
from nearfar.core.errors import NotFoundError

MADE = Origin(
    repo="a/b",
    commit="c",
    file="m.gguf",
    files={"m.gguf": "0" * 64},
    licence="mit",
    endpoint="https://hub.example",
    fetched=dt.date(2026, 11, 22),
)


def test_kept_and_forgotten(tmp_path: Path) -> None:
    origins = Origins(tmp_path)
    assert origins.known("m") is None
    origins.keep("m", MADE)
    assert origins.of("m") == MADE
    origins.forget("m")
    origins.forget("m")
    with pytest.raises(NotFoundError) as caught:
        origins.of("m")
    assert caught.value.code == "no_origin"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"repo": "a/b"}', b"\xff"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, data: bytes) -> None:
    origins = Origins(tmp_path)
    origins.keep("m", MADE)
    (tmp_path / ".hub" / "origins" / "m.json").write_bytes(data)
    assert origins.known("m") is None
