"""What only its key opens."""

from __future__ import annotations

import base64
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import StoreUnavailable
from nearfar.store.cipher import Cipher
from nearfar.store.keyfile import KEY_BYTES

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
