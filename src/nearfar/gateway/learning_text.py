"""A conversation as one text, for whoever reads it as a whole. It keeps nothing."""

from __future__ import annotations

from nearfar.core.chat import Request
from nearfar.core.conversation import Message, Reasoning, Refusal, Text
from nearfar.core.errors import BadRequestError
from nearfar.wire.base import ClientWire


def transcript(request: Request, wire: ClientWire) -> str:
    """All turns in their order; a single one of the user as it stands. Empty where it holds more than words."""
    if wire.conversation is None:
        return ""
    try:
        messages = wire.conversation(request).messages
    except BadRequestError:
        return ""
    texts = [_words(message) for message in messages]
    if any(text is None for text in texts):
        return ""
    if len(messages) == 1:
        return texts[0] or ""
    return "\n\n".join(f"[{message.role}]\n{text}" for message, text in zip(messages, texts, strict=True))


def _words(message: Message) -> str | None:
    """What a turn says; None where that is more than words. What a model thought is not said."""
    texts = []
    for block in message.blocks:
        if isinstance(block, Text | Refusal):
            texts.append(block.text)
        elif not isinstance(block, Reasoning):
            return None
    return "\n".join(texts)
