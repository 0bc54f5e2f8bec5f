"""What only its key opens."""

from __future__ import annotations

import base64
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import StoreUnavailable
from nearfar.store.cipher import KEY_BYTES, Cipher, key_in, read_key

KEY = bytes(range(KEY_BYTES))


@given(st.binary(max_size=300), st.text(max_size=20))
def test_what_is_encrypted_can_be_read_again(plain: bytes, beside: str) -> None:
    cipher = Cipher(KEY)
    text = cipher.encrypt(plain, beside)
    assert cipher.decrypt(text, beside) == plain
    assert cipher.encrypt(plain, beside) != text, "two texts never look alike"


def test_changed_moved_or_foreign_text_is_refused() -> None:
    cipher = Cipher(KEY)
    text = cipher.encrypt(b"words", "here")
    raw = bytearray(base64.b64decode(text))
    assert b"words" not in raw
    wrong = [(text, "there"), ("", "here"), ("!", "here"), (text[:-4], "here")]
    for at in range(0, len(raw), 5):
        changed = bytearray(raw)
        changed[at] ^= 1
        wrong.append((base64.b64encode(changed).decode(), "here"))
    for content, beside in wrong:
        with pytest.raises(StoreUnavailable) as caught:
            cipher.decrypt(content, beside)
        assert caught.value.code == "cipher_mismatch"
    with pytest.raises(StoreUnavailable):
        Cipher(os.urandom(KEY_BYTES)).decrypt(text, "here")


def test_a_key_shows_itself_nowhere() -> None:
    cipher = Cipher(KEY)
    assert cipher.id == Cipher(KEY).id != Cipher(os.urandom(KEY_BYTES)).id
    assert KEY.hex() not in repr(cipher) + cipher.id
    with pytest.raises(TypeError):
        pickle.dumps(cipher)
    with pytest.raises(StoreUnavailable) as caught:
        read_key("my secret")
    assert "my secret" not in caught.value.text


@pytest.mark.parametrize("text", [KEY.hex(), base64.b64encode(KEY).decode()])
def test_keys_are_written_in_either_way(text: str) -> None:
    assert read_key(text) == KEY


@pytest.mark.parametrize("text", ["", "00", KEY.hex() + "00", "zz" * 32])
def test_other_texts_are_no_keys(text: str) -> None:
    with pytest.raises(StoreUnavailable):
        read_key(text)


def test_a_missing_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "responses.key"
    key = key_in(path)
    assert key_in(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "responses.key"
    program = (
        f"from pathlib import Path; from nearfar.store.cipher import key_in; print(key_in(Path({str(path)!r})).hex())"
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
