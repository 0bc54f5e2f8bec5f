"""Measures this machine's processor with the embedded engine and a model of noise. It knows no catalogue."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nearfar.cli import output
from nearfar.core.errors import BadRequestError, EngineError

if TYPE_CHECKING:  # the rooms are only needed when something is measured
    from nearfar.advisor.calibration import Calibration
    from nearfar.engine.probe_model import Probe
    from nearfar.engine.process import Child

PROMPT_TOKENS = 96
ANSWER_TOKENS = 24
ROUNDS = 3
START_SECONDS = 120.0


class _Timings(msgspec.Struct):
    prompt_per_second: float = 0.0
    predicted_per_second: float = 0.0


class _Answer(msgspec.Struct):
    timings: _Timings


def calibrate(
    *, runtime: Path, environ: Mapping[str, str], processor: str, threads: int = 0, probe: Probe | None = None
) -> Calibration:
    """Measure, the best of some rounds. ``runtime``: the folder for sockets. Raises EngineError, BadRequestError."""
    from nearfar.advisor.calibration import made
    from nearfar.engine import machine
    from nearfar.engine.probe_model import Probe, write_probe
    from nearfar.engine.runtimes import LLAMA_CPP, check

    check(LLAMA_CPP)
    probe = probe or Probe()
    needed = probe.read_bytes + 64 * 2**20
    _check_room(needed, machine.memory().available)
    threads = threads or machine.default_threads()
    with tempfile.TemporaryDirectory(prefix="nearfar-probe-") as folder:
        path = Path(folder) / "probe.gguf"
        output.progress(f"writing {needed / 1e6:.0f} MB of noise, then measuring for some seconds")
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            size = write_probe(path, probe)
        except OSError as error:
            raise BadRequestError(
                f"The model to measure with cannot be written: {error.strerror}.", code="calibration_failed"
            ) from error
        engine, timings = asyncio.run(_measure(path, runtime=runtime, environ=environ, threads=threads, probe=probe))
    return made(
        today=dt.datetime.now(tz=dt.UTC).date(),
        engine=engine,
        processor=processor,
        threads=threads,
        read_bytes=probe.read_bytes,
        operations=2.0 * probe.parameters,
        probe_bytes=size,
        decode_tps=max(each.predicted_per_second for each in timings),
        prefill_tps=max(each.prompt_per_second for each in timings),
    )


def _check_room(needed: int, available: int) -> None:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    for what, there in (("memory", available), ("disk", free)):
        if there < 2 * needed:
            raise BadRequestError(
                f"Measuring takes {needed / 1e6:.0f} MB of {what}, and {there / 1e6:.0f} MB are free.",
                code="calibration_no_room",
                hint="Unload models (nearfar models unload NAME) or make room, then try it again.",
            )


async def _measure(
    path: Path, *, runtime: Path, environ: Mapping[str, str], threads: int, probe: Probe
) -> tuple[str, list[_Timings]]:
    from nearfar.engine.messages import Config
    from nearfar.engine.process import new_key, spawn

    config = Config(
        name="probe",
        path=str(path),
        socket=str(runtime / f"engine-{secrets.token_hex(4)}.sock"),
        key=new_key(),
        context=probe.context,
        slots=1,
        batch=512,
        threads=threads,
        embedding=False,
        checkpoints=0,
        prompt_cache_mb=0,
        data_limit=4 * probe.read_bytes + 2**31,
    )
    child = await spawn(config, environ=environ, timeout=START_SECONDS)
    try:
        timings = [await _round(child, number) for number in range(ROUNDS)]
    finally:
        await child.stop()
    return f"the embedded engine ({child.ready.engine})", timings


async def _round(child: Child, number: int) -> _Timings:
    """One prompt of its own tokens, so that nothing of it is remembered, and an answer of a fixed length."""
    first = 259 + number
    body = {
        "prompt": [1, *(first + index % 200 for index in range(PROMPT_TOKENS - 1))],
        "n_predict": ANSWER_TOKENS,
        "ignore_eos": True,
        "temperature": 0,
        "cache_prompt": False,
    }
    data = msgspec.json.encode(body)
    reader, writer = await asyncio.open_unix_connection(child.socket, limit=1 << 22)
    try:
        writer.write(
            b"POST /completion HTTP/1.0\r\nHost: engine\r\nConnection: close\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {child.key}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    try:
        return msgspec.json.decode(rest[rest.index(b"{") : rest.rindex(b"}") + 1], type=_Answer).timings
    except (ValueError, msgspec.DecodeError) as error:
        status = head.split(b"\r\n")[0].decode("latin-1")
        raise EngineError(f"The engine told no times ({status}).", code="calibration_failed") from error
