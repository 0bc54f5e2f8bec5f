"""Reads a multipart form strictly: one meaning per body, or a 400. It knows no field's meaning.

Readers of forms disagree about preambles, epilogues, folded headers, transfer encodings, doubled fields and boundaries
that begin another one, so such bodies are refused: what was read here is what the upstream reads.
Source: RFC 7578 and RFC 2046, section 5.1.
"""

from __future__ import annotations

import re

import msgspec

from nearfar.core.errors import BadRequestError

MAX_PARTS = 64
MAX_HEAD = 4096
"""Bytes of one part's headers."""

_BOUNDARY = re.compile(rb"--([0-9A-Za-z'()+_,./:=?-]{1,70})\r\n")
_DISPOSITION = re.compile(r'form-data((?:; ?[a-z]+="[^"\r\n\\]*")+)', re.IGNORECASE)
_PARAMETER = re.compile(r'; ?([a-z]+)="([^"]*)"', re.IGNORECASE)
_TOKEN = re.compile(r"[0-9A-Za-z'+_.-]+")
_HINT = "Send the form with your client's own encoder."


class Part(msgspec.Struct, frozen=True):
    """One field: its name, where its content lies in the body, and, of a file, its name and type."""

    name: str
    start: int
    end: int
    filename: str | None = None
    mime: str = ""


class Form(msgspec.Struct, frozen=True):
    """A form that means one thing only."""

    boundary: str
    parts: list[Part]

    @property
    def content_type(self) -> str:
        """The header that goes with the body."""
        quoted = self.boundary if _TOKEN.fullmatch(self.boundary) else f'"{self.boundary}"'
        return f"multipart/form-data; boundary={quoted}"


def read(body: bytes) -> Form:
    """The parts of ``body``. Raises BadRequestError."""
    begin = _BOUNDARY.match(body)
    if begin is None:
        raise _refuse("does not begin with the boundary of a multipart form")
    delimiter = b"\r\n--" + begin[1]
    parts: list[Part] = []
    at = begin.end()
    while True:
        if len(parts) == MAX_PARTS:
            raise _refuse(f"has more than {MAX_PARTS} parts")
        head_end = body.find(b"\r\n\r\n", at, at + MAX_HEAD)
        if head_end < 0:
            raise _refuse("has a part whose headers do not end")
        end = body.find(delimiter, head_end + 4)
        if end < 0:
            raise _refuse("ends in the middle of a part")
        parts.append(_part(body[at:head_end], head_end + 4, end))
        at = end + len(delimiter)
        mark = body[at : at + 2]
        if mark == b"--":
            if body[at + 2 :] not in {b"", b"\r\n"}:
                raise _refuse("goes on after its last boundary")
            break
        if mark != b"\r\n":
            raise _refuse("holds its own boundary inside a part")
        at += 2
    _check_names(parts)
    return Form(begin[1].decode("ascii"), parts)


def _part(head: bytes, start: int, end: int) -> Part:
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError as exc:
        raise _refuse("has a part whose headers are not UTF-8") from exc
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or name in found or name not in {"content-disposition", "content-type", "content-length"}:
            raise _refuse(f"has a part with the header {name[:60]!r}, or with one twice")
        found[name] = value.strip()
    shape = _DISPOSITION.fullmatch(found.get("content-disposition", ""))
    listed = _PARAMETER.findall(shape[1]) if shape is not None else []
    parameters = {name.lower(): value for name, value in listed}
    name = parameters.get("name", "")
    if not name or len(parameters) != len(listed) or not parameters.keys() <= {"name", "filename"}:
        raise _refuse("has a part that is no named field of a form")
    if found.get("content-length", str(end - start)) != str(end - start):
        raise _refuse("has a part of another length than its header says")
    return Part(name, start, end, parameters.get("filename"), found.get("content-type", ""))


def _check_names(parts: list[Part]) -> None:
    seen: set[str] = set()
    for part in parts:
        # Lists are written as one field several times, by convention with brackets.
        if part.name in seen and not part.name.endswith("[]"):
            message = f"The form has the field {part.name[:100]!r} twice."
            raise BadRequestError(message, code="duplicate_key", param=part.name[:100], hint="Send each field once.")
        seen.add(part.name)


def _refuse(what: str) -> BadRequestError:
    return BadRequestError(f"The request body {what}.", code="invalid_multipart", hint=_HINT)
