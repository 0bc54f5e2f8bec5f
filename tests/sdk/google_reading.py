"""How Google's official client reads upstream bytes and checks requests, for comparison with us: a program of its own.

`python google_reading.py streams` reads each of tests/golden/gemini_generate's streams, whole and cut after every
STEP bytes, through the client's real HTTP path, and prints {file: {bytes: what it got}}.
`python google_reading.py requests` reads a JSON list of generateContent bodies from standard input, validates each with
the client's types, and prints the list as those types write it again.
"""

# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from google import genai
from google.genai import errors, types

sys.path.insert(0, str(Path(__file__).parent))
import google_upstream

STEP = 13


def gather(chunks: Any) -> dict[str, Any]:
    """Text, thoughts, calls, finishes and usage of a stream until it ends or breaks."""
    got: dict[str, Any] = {"text": "", "thoughts": "", "calls": [], "finishes": {}, "usage": None, "error": False}
    try:
        for chunk in chunks:
            _add(got, chunk)
    except (errors.APIError, errors.UnknownFunctionCallArgumentError, ValueError):
        got["error"] = True
    return got


def _add(got: dict[str, Any], chunk: Any) -> None:
    for candidate in chunk.candidates or ():
        for part in (candidate.content.parts if candidate.content else None) or ():
            if part.function_call:
                got["calls"].append([part.function_call.name, part.function_call.args])
            elif part.text:
                got["thoughts" if part.thought else "text"] += part.text
        if candidate.finish_reason:
            got["finishes"][str(candidate.index or 0)] = candidate.finish_reason.value
    usage = chunk.usage_metadata
    if usage and usage.prompt_token_count is not None:
        got["usage"] = [usage.prompt_token_count, usage.total_token_count, usage.thoughts_token_count]


def streams() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    with google_upstream.upstream() as upstream:
        client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=upstream.url))
        for path in sorted((google_upstream.GOLDEN / "gemini_generate").glob("stream_*.sse")):
            size = path.stat().st_size
            name = path.stem.removeprefix("stream_")
            found[name] = {
                str(end): gather(client.models.generate_content_stream(model=f"{name}@{end}", contents="x"))
                for end in [*range(1, size, STEP), size]
            }
        client.close()
    return found


def requests() -> list[Any]:
    return [check(body) for body in json.load(sys.stdin)]


def check(body: dict[str, Any]) -> dict[str, Any]:
    """The body's members, each through its type, which refuses what it does not know."""

    def through(kind: Any, value: Any) -> Any:
        made = kind.model_validate(value)
        return json.loads(made.model_dump_json(by_alias=True, exclude_none=True))

    kinds: dict[str, Any] = {
        "systemInstruction": types.Content,
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
    }
    lists: dict[str, Any] = {"contents": types.Content, "tools": types.Tool, "safetySettings": types.SafetySetting}
    found: dict[str, Any] = {}
    for name, value in body.items():
        if name in lists:
            found[name] = [through(lists[name], item) for item in value]
        else:
            found[name] = through(kinds[name], value)
    return found


if __name__ == "__main__":
    json.dump({"streams": streams, "requests": requests}[sys.argv[1]](), sys.stdout)
