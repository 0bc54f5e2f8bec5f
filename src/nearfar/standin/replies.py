"""One reply of the stand-in, as asked for or as badly as its behaviour says. It knows connections, not paths."""

from __future__ import annotations

import asyncio
import gzip
import time

import msgspec

from nearfar.standin import shapes
from nearfar.standin.answers import Answer
from nearfar.standin.behaviour import WHOLE, Behaviour
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
    if behaviour.first_byte_ms and behaviour.mode not in {"slow-head", "slow-first"}:
        await asyncio.sleep(behaviour.first_byte_ms / 1000)
    status = behaviour.status
    if status is not None:
        _send_error(connection, dialect, behaviour, status, headers)
    elif behaviour.mode == "reset":
        connection.reset()
    elif behaviour.mode == "html":
        connection.send(200, shapes.PAGE, "text/html", headers)
    elif behaviour.mode == "huge-head":
        connection.send(200, b"{}", "application/json", [*headers, ("x-huge", "x" * 100_000)])
    elif behaviour.mode == "redirect":
        connection.send(307, b"", "text/plain", [*headers, ("location", "/stand-in/elsewhere")])
    elif behaviour.mode == "empty":
        connection.send(200, b"", "application/json", headers)
    else:
        return False
    return True


def _send_error(connection: Connection, dialect: Dialect, behaviour: Behaviour, status: int, headers: Headers) -> None:
    words = behaviour.error or f"{STRUCK} ({status})"
    if behaviour.html:
        connection.send(status, shapes.PAGE, "text/html", headers + behaviour.retry_headers(time.time()))
    elif dialect.refusal is not None:
        connection.send(status, dialect.refusal(status, words, behaviour.retry_after), "application/json", headers)
    else:
        more = dialect.error_headers(status) + behaviour.retry_headers(time.time())
        connection.send(status, dialect.error(status, words), "application/json", headers + more)


async def plain(
    connection: Connection, body: bytes, error: bytes, seen: Seen, behaviour: Behaviour, headers: Headers
) -> str:
    """Send a plain reply; returns how it ended: ``complete`` or ``cut``. ``error``: the body of ``error-event``."""
    seen.answered = behaviour.mode not in {"error-event", "garbage"}
    json, half = "application/json", body[: len(body) // 2]
    seconds = behaviour.first_byte_ms / 1000
    match behaviour.mode:
        case "slow-head":
            await connection.start_slowly(json, seconds)
            connection.chunk(body)
            connection.finish()
            return "complete"
        case "slow-first":
            connection.start(json, headers)
            await asyncio.sleep(seconds)
            connection.chunk(body)
            connection.finish()
            return "complete"
        case "http10" | "http10-cut":
            connection.start_old(json)
            connection.raw(body if behaviour.mode == "http10" else half)
            connection.close()
            return "complete" if behaviour.mode == "http10" else "cut"
        case "no-last-chunk":
            connection.start(json, headers)
            connection.chunk(body)
            connection.close()
        case "cut-character":
            connection.start(json, headers, length=len(body))
            connection.raw(body[: next(i for i, byte in enumerate(body) if byte > 127) + 1])
            await connection.drain()
            connection.reset()
        case "cut-event":
            connection.send(200, half, json, headers)
        case "gzip":
            packed = gzip.compress(body)
            connection.send(200, packed, json, [*headers, ("content-encoding", "gzip")])
        case "error-event":
            connection.send(200, error, json, headers)
        case "invalid-json" | "corrupt":
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
    mode, pause = behaviour.mode, behaviour.chunk_ms / 1000
    write = connection.raw if mode.startswith("http10") else connection.chunk
    await _stream_head(connection, dialect, behaviour, headers)
    if mode in shapes.STREAMS:
        return await _shaped(connection, dialect, answer, seen, behaviour)
    if mode == "gzip":
        parts = (
            dialect.head(answer),
            *(dialect.piece(answer, piece) for piece in answer.pieces),
            dialect.tail(answer, 0),
        )
        connection.chunk(gzip.compress(b"".join(parts)))
        connection.finish()
        return "cut"
    write(dialect.head(answer))
    if mode == "huge":
        return await _huge_event(connection, dialect, answer, seen, behaviour)
    whole = mode in WHOLE or mode == "slow-head"
    for piece in answer.pieces if whole else answer.pieces[: behaviour.after]:
        if pause and seen.chunks:
            await asyncio.sleep(pause)
        write(dialect.piece(answer, piece))
        seen.chunks += 1
        seen.answered = True
        await connection.drain()
    if pause:
        await asyncio.sleep(pause)
    if not whole:
        await _strike(connection, dialect, answer, behaviour)
        return "cut"
    write(dialect.tail(answer, seen.chunks))
    if mode in {"http10", "no-last-chunk"}:
        connection.close()
    else:
        connection.finish()
    return "complete"


async def _stream_head(connection: Connection, dialect: Dialect, behaviour: Behaviour, headers: Headers) -> None:
    seconds = behaviour.first_byte_ms / 1000
    if behaviour.mode.startswith("http10"):
        connection.start_old(dialect.stream_type)
    elif behaviour.mode == "slow-head":
        await connection.start_slowly(dialect.stream_type, seconds)
    else:
        more = [("content-encoding", "gzip")] if behaviour.mode == "gzip" else []
        connection.start(dialect.stream_type, [*headers, ("cache-control", "no-cache"), *more])
        if behaviour.mode == "slow-first":
            await asyncio.sleep(seconds)


async def _shaped(connection: Connection, dialect: Dialect, answer: Answer, seen: Seen, behaviour: Behaviour) -> str:
    """A stream in an odd shape, one packet for each of its parts."""
    parts = shapes.stream(dialect, answer, behaviour.mode)
    for number, part in enumerate(parts, 1):
        connection.chunk(part)
        seen.answered = True
        # Before the last part nobody can tell which words have left: they count by their share.
        seen.chunks = answer.output * number // len(parts)
        await asyncio.sleep(behaviour.chunk_ms / 1000)
        await connection.drain()
    connection.finish()
    return "complete"


async def _strike(connection: Connection, dialect: Dialect, answer: Answer, behaviour: Behaviour) -> None:
    """Do to a stream what its mode says."""
    mode = behaviour.mode
    match mode:
        case "cut-character" | "cut-event":
            connection.chunk(shapes.half(dialect, answer, mode))
            await connection.drain()
            if mode == "cut-event":
                connection.finish()
            else:
                connection.reset()
        case "http10-cut":
            connection.close()
        case "cut" | "half-close" | "stall":
            await _break_off(connection, mode)
        case "close":
            connection.finish()
        case "error-event":
            connection.chunk(dialect.stream_error(behaviour.error or STRUCK))
            connection.finish()
        case "invalid-json":
            connection.chunk(dialect.broken)
            connection.finish()
        case "corrupt":
            connection.chunk(shapes.corrupted(dialect, answer))
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
