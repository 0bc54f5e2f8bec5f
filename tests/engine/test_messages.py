from __future__ import annotations

import msgspec

from nearfar.engine.messages import Config, Ready


def test_each_is_one_line() -> None:
    config = Config(
        name="a\nb",
        path="/m\n.gguf",
        socket="/s",
        key="k",
        context=1,
        slots=1,
        batch=1,
        threads=1,
        embedding=False,
        checkpoints=0,
        prompt_cache_mb=0,
        data_limit=1,
    )
    for message in (config, Ready(ok=False, error="two\nlines")):
        line = msgspec.json.encode(message)
        assert b"\n" not in line
        assert msgspec.json.decode(line, type=type(message)) == message
