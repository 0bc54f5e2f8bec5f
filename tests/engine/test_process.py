from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.engine.talk import ended

from nearfar.core.errors import EngineError
from nearfar.engine import process as process_module
from nearfar.engine.messages import Config
from nearfar.engine.process import child_environment, ending, new_key, reason, spawn


def config(model: Path, folder: Path) -> Config:
    return Config(
        name="m",
        path=str(model),
        socket=str(folder / "engine.sock"),
        key=new_key(),
        context=512,
        slots=1,
        batch=512,
        threads=1,
        embedding=False,
        checkpoints=0,
        prompt_cache_mb=0,
        data_limit=2**31,
    )


def test_the_environment_holds_no_key_of_anybody() -> None:
    given = {"OPENAI_API_KEY": "a", "HF_TOKEN": "b", "AWS_SECRET_ACCESS_KEY": "c", "PATH": "/bin", "PYTHONPATH": "/x"}
    made = child_environment(given)
    assert set(made) == {"PATH", "PYTHONPATH"}
    first, *rest = made["PYTHONPATH"].split(os.pathsep)
    assert (Path(first) / "nearfar" / "engine" / "child.py").exists()
    assert rest == ["/x"]


def test_keys_differ() -> None:
    assert len({new_key() for _ in range(100)}) == 100
    assert len(new_key()) >= 32


def test_reasons_are_found_in_the_engines_own_words() -> None:
    words = (
        "0.00.004.103 E llama_model_load: error loading model: unknown model architecture: 'qwenX'\n"
        "0.00.004.120 E llama_model_load_from_file_impl: failed to load model\n"
    )
    assert reason(words) == "unknown model architecture: 'qwenX'"
    assert (
        reason("0.00.002.734 E srv         start: couldn't bind HTTP server socket\n")
        == "couldn't bind HTTP server socket"
    )
    assert reason("Traceback (most recent call last):\n") == ""


@pytest.mark.parametrize(
    ("code", "words"), [(0, "code 0"), (-9, "SIGKILL (often"), (-4, "SIGILL (an"), (-11, "SIGSEGV"), (-99, "signal 99")]
)
def test_endings(code: int, words: str) -> None:
    assert words in ending(code)


def test_a_child_lives_answers_and_ends(tmp_path: Path, tiny_gguf: Path) -> None:
    async def scenario() -> None:
        child = await spawn(config(tiny_gguf, tmp_path), environ={}, timeout=60)
        assert child.alive
        assert child.ready.network in {"none", "shared"}
        assert child.ready.engine
        assert child.socket.is_socket()
        assert await child.answers(30)
        await child.stop()
        assert not child.alive
        assert not child.socket.exists()
        assert await child.gone() == "it was ended by SIGKILL (often: memory ran out)"
        assert not await child.answers(30)
        await child.stop()  # again: nothing happens

    asyncio.run(scenario())


def test_a_child_that_hangs_does_not_answer(tmp_path: Path, tiny_gguf: Path) -> None:
    async def scenario() -> None:
        child = await spawn(config(tiny_gguf, tmp_path), environ={}, timeout=60)
        os.kill(child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert child.alive
        assert not await child.answers(0.05)
        await child.stop()

    asyncio.run(scenario())


def test_the_death_of_a_child_is_known_before_the_event_loop_hears_of_it(tmp_path: Path, tiny_gguf: Path) -> None:
    async def scenario() -> None:
        child = await spawn(config(tiny_gguf, tmp_path), environ={}, timeout=60)
        watching = os.pidfd_open(child.pid)
        os.kill(child.pid, signal.SIGKILL)
        select.select([watching], [], [])  # blocks the loop: it cannot have heard
        os.close(watching)
        assert not child.alive
        assert "SIGKILL" in await child.gone()

    asyncio.run(scenario())


def test_a_start_that_takes_too_long(tmp_path: Path, tiny_gguf: Path) -> None:
    with pytest.raises(EngineError) as caught:
        asyncio.run(spawn(config(tiny_gguf, tmp_path), environ={}, timeout=0))
    assert caught.value.code == "engine_start_timeout"
    assert "engine.start_timeout" in caught.value.hint


def test_a_model_the_engine_does_not_know(tmp_path: Path, tiny_gguf: Path) -> None:
    strange = tmp_path / "strange.gguf"
    strange.write_bytes(tiny_gguf.read_bytes().replace(b"qwen2", b"qwenX"))
    with pytest.raises(EngineError) as caught:
        asyncio.run(spawn(config(strange, tmp_path), environ={}, timeout=60))
    assert caught.value.message == "m could not be loaded: unknown model architecture: 'qwenX'."
    assert caught.value.code == "model_not_loaded"
    assert not list(tmp_path.glob("*.sock"))


def test_more_memory_than_the_fence_allows_is_refused_not_taken(tmp_path: Path, tiny_gguf: Path) -> None:
    # 2048 x 400 tokens of this model are 210 MB of keys and values.
    asked = msgspec.structs.replace(config(tiny_gguf, tmp_path), context=2048, slots=400, data_limit=150 * 2**20)
    with pytest.raises(EngineError, match="could not be loaded"):
        asyncio.run(spawn(asked, environ={}, timeout=60))


def test_a_child_that_dies_while_loading(tmp_path: Path, tiny_gguf: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "xllamacpp.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    with pytest.raises(EngineError, match="m could not be loaded: it was ended by SIGILL") as caught:
        asyncio.run(spawn(config(tiny_gguf, tmp_path), environ={"PYTHONPATH": str(shadow)}, timeout=60))
    assert caught.value.code == "engine_start_failed"


def test_an_engine_that_cannot_be_imported(tmp_path: Path, tiny_gguf: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')\n")
    with pytest.raises(EngineError, match="libgomp") as caught:
        asyncio.run(spawn(config(tiny_gguf, tmp_path), environ={"PYTHONPATH": str(shadow)}, timeout=60))
    assert (caught.value.code, caught.value.hint) == ("engine_missing", "On Debian: apt-get install libgomp1.")


def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path, tiny_gguf: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    said = tmp_path / "pid"
    os.mkfifo(said)
    (shadow / "xllamacpp.py").write_text(
        f"import os, threading\nopen({str(said)!r}, 'w').write(str(os.getpid()))\nthreading.Event().wait()\n"
    )

    async def scenario() -> None:
        task = asyncio.create_task(spawn(config(tiny_gguf, tmp_path), environ={"PYTHONPATH": str(shadow)}, timeout=60))
        pid = int(await asyncio.to_thread(said.read_text))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended(pid)

    asyncio.run(scenario())


def test_words_instead_of_a_report(tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chatty = tmp_path / "python"
    chatty.write_text("#!/bin/sh\necho hello\n")
    chatty.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(chatty))
    with pytest.raises(EngineError, match="it sent an unreadable report while loading"):
        asyncio.run(spawn(config(tiny_gguf, tmp_path), environ={}, timeout=60))


def test_no_process_can_be_started(tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(EngineError, match="No process can be started") as caught:
        asyncio.run(spawn(config(tiny_gguf, tmp_path), environ={}, timeout=60))
    assert caught.value.code == "engine_start_failed"


def test_a_process_that_has_given_up_its_memory_is_ending() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not process_module._is_ending(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now: there, and without memory
        assert process_module._is_ending(process.pid)
    assert not process_module._is_ending(process.pid), "gone, and not ending: the descriptor says so"
