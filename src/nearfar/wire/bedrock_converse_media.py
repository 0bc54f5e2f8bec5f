"""Images, documents and sound as Converse's blocks. It knows no message.

Source: the service model bedrock-runtime 2023-09-30 in botocore 1.44 and the Bedrock API reference, "DocumentBlock";
read 2026-11-22.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nearfar.core.conversation import Extra
from nearfar.core.conversation import Media as Block
from nearfar.core.errors import BadRequestError
from nearfar.wire.deviations import Deviations, unsupported

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
_SOUNDS = {
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/m4a": "m4a",
    "audio/mp3": "mp3",
    "audio/mp4": "mp4",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/wav": "wav",
    "audio/webm": "webm",
    "audio/x-wav": "wav",
}
_MEMBERS = {"image": "image_url", "audio": "input_audio", "document": "file"}
"""Where OpenAI's dialect leaves what the Conversation has no name for."""

_BAD_NAME = re.compile(r"[^0-9A-Za-z\-()\[\] ]+")
_SPACES = re.compile(r"\s+")


def refuse(what: str, param: str) -> BadRequestError:
    """The refusal of what Bedrock cannot do."""
    return unsupported("Bedrock's Converse API", what, param)


def mime_of(kind: str, form: str) -> str:
    """The type of media that Converse calls ``form``; empty when there is none."""
    table = {"image": _IMAGES, "document": _DOCUMENTS, "audio": _SOUNDS}.get(kind, {})
    return next((mime for mime, name in table.items() if name == form), "")


class Media:
    """Makes blocks; documents of one request get names that differ."""

    def __init__(self, note: Deviations) -> None:
        self._note = note
        self._names: set[str] = set()

    def block(self, block: Block) -> tuple[dict[str, Any], Extra]:
        """The block, and the members of ``extra`` that are left to look at. Raises BadRequestError."""
        if not block.data:
            raise refuse("media by URL; send the bytes inline", "messages")
        extra = dict(block.extra)
        raw = extra.pop(_MEMBERS.get(block.kind, ""), None)
        rest = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]) if raw is not None else {}
        mime = block.mime.partition(";")[0].strip().lower()
        source = {"bytes": block.data}
        if block.kind == "image" and mime in _IMAGES:
            return {"image": {"format": _IMAGES[mime], "source": source}}, {**extra, **rest}
        if block.kind == "audio" and mime in _SOUNDS:
            return {"audio": {"format": _SOUNDS[mime], "source": source}}, {**extra, **rest}
        if block.kind == "document" and mime in _DOCUMENTS:
            name = self._name(rest.pop("filename", None) or extra.pop("title", None))
            value: dict[str, Any] = {"format": _DOCUMENTS[mime], "name": name, "source": source}
            context = extra.pop("context", None)
            if context is not None:
                value["context"] = context
            return {"document": value}, {**extra, **rest}
        raise refuse(f"{block.kind} input of the type {mime[:80]!r}", "messages")

    def _name(self, raw: msgspec.Raw | None) -> str:
        """A document's name: few characters are allowed, and none twice. The ending is the format's business."""
        given = msgspec.json.decode(raw) if raw is not None else ""
        stem = given.rpartition(".")[0] or given if isinstance(given, str) else ""
        plain = _SPACES.sub(" ", _BAD_NAME.sub(" ", stem)).strip()[:180] or "document"
        name, number = plain, 2
        while name in self._names:
            name, number = f"{plain} {number}", number + 1
        self._names.add(name)
        if given and name != stem:
            self._note.add("adapted:filename")
        return name
