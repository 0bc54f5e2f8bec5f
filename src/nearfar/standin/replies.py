"""One reply of the stand-in, as asked for or as badly as its behaviour says. It knows connections, not paths."""

from __future__ import annotations

import asyncio
import time

import msgspec

from nearfar.standin.answers import Answer
from nearfar.standin.behaviour import Behaviour
from nearfar.standin.dialects import Dialect
from nearfar.standin.http import Connection
from nearfar.standin.record import Seen

GARBAGE = bytes(range(256))
_HUGE_PIECE = "standin "
_MARK = "\ue000"
"""Where the words go in the frame of a huge reply; from the private use area, so no other text has it."""
_BLOCK = 256 * 1024
STRUCK = "the stand-in was asked to fail here"

Headers = list[tuple[str, str]]


async def forever() -> None:
    """Wait until the client hangs up, which cancels."""
    await asyncio.Event().wait()


async def refuse(connection: Connection, dialect: Dialect, behaviour: Behaviour, headers: Headers) -> bool:
    """Answer what needs no reply body of a model. True when that was all."""
    if behaviour.mode == "never":
        await forever()
    if behaviour.first_byte_ms:
        await asyncio.sleep(behaviour.first_byte_ms / 1000)
    status = behaviour.status
    if status is not None:
        body = dialect.error(status, f"{STRUCK} ({status})")
        connection.send(status, body, "application/json", headers + behaviour.retry_headers(time.time()))
    elif behaviour.mode == "redirect":
        connection.send(307, b"", "text/plain", [*headers, ("location", "/stand-in/elsewhere")])
    elif behaviour.mode == "empty":
        connection.send(200, b"", "application/json", headers)
    else:
        return False
    return True


async def plain(
    connection: Connection, body: bytes, error: bytes, seen: Seen, behaviour: Behaviour, headers: Headers
) -> str:
    """Send a plain reply; returns how it ended: ``complete`` or ``cut``. ``error``: the body of ``error-event``."""
    seen.answered = behaviour.mode not in {"error-event", "garbage"}
    json, half = "application/json", body[: len(body) // 2]
    match behaviour.mode:
        case "error-event":
            connection.send(200, error, json, headers)
        case "invalid-json":
            connection.send(200, half, json, headers)
        case "garbage":
            connection.raw(GARBAGE)
            connection.close()
        case "cut" | "half-close" | "stall":
            connection.start(json, headers, length=len(body))
            connection.raw(half)
            await connection.drain()
            await _break_off(connection, behaviour.mode)
        case "close":
            connection.start(json, headers, length=-1)
            connection.raw(half)
            connection.close()
        case _:
            connection.send(200, body, json, headers)
            return "complete"
    return "cut"


async def huge_plain(
    connection: Connection, dialect: Dialect, answer: Answer, seen: Seen, behaviour: Behaviour, headers: Headers
) -> str:
    """Send a plain reply with about ``size`` bytes of text, as fast as the client takes it."""
    words = behaviour.size // len(_HUGE_PIECE)
    frame = dialect.plain(msgspec.structs.replace(answer, pieces=(_MARK,), output=words))
    before, _, after = frame.partition(_MARK.encode())
    connection.start("application/json", headers, length=len(before) + words * len(_HUGE_PIECE) + len(after))
    connection.raw(before)
    await _pour(connection, words, seen, framed=False)
    connection.raw(after)
    return "complete"


async def stream(
    connection: Connection, dialect: Dialect, answer: Answer, seen: Seen, behaviour: Behaviour, headers: Headers
) -> str:
    """Send a stream, one write for each piece; returns how it ended. ``seen.chunks`` counts the pieces that left."""
    pause = behaviour.chunk_ms / 1000
    connection.start(dialect.stream_type, [*headers, ("cache-control", "no-cache")])
    connection.chunk(dialect.head(answer))
    if behaviour.mode == "huge":
        return await _huge_event(connection, dialect, answer, seen, behaviour)
    for piece in answer.pieces if behaviour.mode == "ok" else answer.pieces[: behaviour.after]:
        if pause and seen.chunks:
            await asyncio.sleep(pause)
        connection.chunk(dialect.piece(answer, piece))
        seen.chunks += 1
        seen.answered = True
        await connection.drain()
    if behaviour.mode != "ok":
        await _strike(connection, dialect, behaviour.mode)
        return "cut"
    if pause:
        await asyncio.sleep(pause)
    connection.chunk(dialect.tail(answer, seen.chunks))
    connection.finish()
    return "complete"


async def _strike(connection: Connection, dialect: Dialect, mode: str) -> None:
    """Do to a stream what ``mode`` says."""
    match mode:
        case "cut" | "half-close" | "stall":
            await _break_off(connection, mode)
        case "close":
            connection.finish()
        case "error-event":
            connection.chunk(dialect.stream_error(STRUCK))
            connection.finish()
        case "invalid-json":
            connection.chunk(dialect.broken)
            connection.finish()
        case "garbage":
            connection.raw(GARBAGE)
            connection.close()


async def _break_off(connection: Connection, mode: str) -> None:
    if mode == "cut":
        connection.reset()
        return
    if mode == "half-close":
        connection.half_close()
    await forever()


async def _huge_event(
    connection: Connection, dialect: Dialect, answer: Answer, seen: Seen, behaviour: Behaviour
) -> str:
    """One stream event of about ``size`` bytes."""
    before, _, after = dialect.piece(answer, _MARK).partition(_MARK.encode())
    connection.chunk(before)
    await _pour(connection, behaviour.size // len(_HUGE_PIECE), seen, framed=True)
    connection.chunk(after)
    connection.chunk(dialect.tail(answer, seen.chunks))
    connection.finish()
    return "complete"


async def _pour(connection: Connection, words: int, seen: Seen, *, framed: bool) -> None:
    per_block = _BLOCK // len(_HUGE_PIECE)
    block = _HUGE_PIECE.encode() * per_block
    while words:
        count = min(words, per_block)
        data = block[: count * len(_HUGE_PIECE)]
        if framed:
            connection.chunk(data)
        else:
            connection.raw(data)
        seen.chunks += count
        seen.answered = True
        words -= count
        await connection.drain()
