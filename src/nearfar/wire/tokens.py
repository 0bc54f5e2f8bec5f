"""Estimates of input tokens from bytes alone, deliberately on the high side. It knows no tokenizer.

OpenAI's rule of thumb is 4 bytes of English per token; source code and JSON need more tokens, and a Chinese, Japanese
or Korean character (3 bytes in UTF-8) is between half a token and two, by vocabulary. The estimate takes 3 bytes of
ASCII per token and 1.5 tokens per such character. Vocabularies of a few thousand entries can need more.
"""

from __future__ import annotations

IMAGE_TOKENS = 1600
"""Upper figure that vendors state for one ordinary image (Anthropic: width x height / 750, at most about 1,600)."""

AUDIO_BYTES_PER_TOKEN = 200
"""Base64 bytes per token for sound: speech at 32 kbit/s and 25 tokens per second."""


def of_text(encoded: bytes, without: int = 0) -> int:
    """Tokens of ``encoded``, UTF-8 text, less ``without`` bytes of ASCII in it (inline media). At least 1."""
    if encoded.isascii():
        return max(1, (len(encoded) - without) // 3)
    wide = (len(encoded) - len(encoded.decode())) // 2
    """Characters of three bytes have two more bytes than characters."""
    return max(1, (len(encoded) - 3 * wide - without) // 3 + 3 * wide // 2)
