"""Encrypts what is stored of conversations: AES-256-GCM by the ``cryptography`` library. It knows no table.

The key is 32 random bytes in a file that only its owner can read, or whatever the settings name. Who loses the key
loses what was stored with it: that is also the way to forget everything at once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import NoReturn

from nearfar.core import install
from nearfar.core.errors import StoreUnavailable

NONCE_BYTES = 12

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as error:
    raise StoreUnavailable(
        "Storing what is said is configured (responses or learning), but what encrypts it is not installed.",
        code="cipher_missing",
        hint=f"Set responses.keep_hours = 0 and learning.keep = [], or install it: {install.command('store')}",
    ) from error


class Cipher:
    """Encrypts and decrypts with one key. Each text is bound to what stands beside it in the clear."""

    def __init__(self, key: bytes) -> None:
        self._gcm = AESGCM(key)
        self.id = hashlib.sha256(b"nearfar key id\0" + key).hexdigest()[:16]
        """Tells keys apart; it says nothing of the key itself."""

    def __repr__(self) -> str:
        return f"<Cipher with key {self.id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Cipher is not written anywhere")

    def encrypt(self, plain: bytes, beside: str) -> str:
        """``plain`` as text that only this key opens, and only beside the same words."""
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + self._gcm.encrypt(nonce, plain, beside.encode())).decode()

    def decrypt(self, text: str, beside: str) -> bytes:
        """The inverse. Raises StoreUnavailable for what was changed, moved, or written with another key."""
        try:
            raw = base64.b64decode(text, validate=True)
            return self._gcm.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], beside.encode())
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise StoreUnavailable(
                "A stored response cannot be read: it was changed, or written with another key.",
                code="cipher_mismatch",
                hint="Gateways that share a database need the same responses.key.",
            ) from error
