"""Keys in files: made once, for their owner alone, and never shown."""

from __future__ import annotations

import base64
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nearfar.core.errors import StoreUnavailable
from nearfar.store.keyfile import KEY_BYTES, key_in, read_key

KEY = bytes(range(KEY_BYTES))


def test_what_is_no_key_is_not_repeated() -> None:
    with pytest.raises(StoreUnavailable, match=r"a\.key does not hold") as caught:
        read_key("my secret", "a.key")
    assert "my secret" not in caught.value.text


@pytest.mark.parametrize("text", [KEY.hex(), base64.b64encode(KEY).decode()])
def test_keys_are_written_in_either_way(text: str) -> None:
    assert read_key(text, "a.key") == KEY


@pytest.mark.parametrize("text", ["", "00", KEY.hex() + "00", "zz" * 32])
def test_other_texts_are_no_keys(text: str) -> None:
    with pytest.raises(StoreUnavailable):
        read_key(text, "a.key")


def test_a_missing_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "responses.key"
    key = key_in(path)
    assert key_in(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "responses.key"
    program = (
        f"from pathlib import Path; from nearfar.store.keyfile import key_in; print(key_in(Path({str(path)!r})).hex())"
    )
    started = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({process.communicate(timeout=60)[0] for process in started}) == 1


def test_a_broken_key_file_is_said_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "responses.key"
    path.write_text("half a key")
    with pytest.raises(StoreUnavailable):
        key_in(path)
    assert path.read_text() == "half a key"
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        key_in(tmp_path / "missing" / "responses.key")
