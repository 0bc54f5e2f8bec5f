"""The child process that runs one model with ONNX Runtime GenAI: ``python -m nearfar.engine.child_onnx``.

Source: ONNX Runtime GenAI 0.18's Python interface, 2026-11.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nearfar.core.errors import BadRequestError
from nearfar.engine import isolate
from nearfar.engine.child_chat import Ask, Logprob
from nearfar.engine.child_serve import Model, Step, marked, run
from nearfar.engine.child_start import begin
from nearfar.engine.child_tools import MARKS, known_format
from nearfar.engine.child_words import Words
from nearfar.engine.messages import Config, Ready
from nearfar.engine.runtimes import ONNX, missing

_GREEDY = 1e-4
"""A temperature below it means the likeliest token."""
_BROKEN = "\ufffd"
_encode = msgspec.json.Encoder().encode


def main() -> None:
    """Load the model, say so, and serve until the parent goes."""
    run(begin(), load)


def load(config: Config) -> tuple[Ready, Model | None]:
    """(what to report, the model or None)."""
    try:
        import onnxruntime_genai as genai
    except ImportError as exc:
        return missing(ONNX, exc), None
    genai.disable_telemetry_events()  # there is an uploader in it
    isolate.limit_data(config.data_limit)
    try:
        model = Chat(genai, config)
    except Exception as exc:  # noqa: BLE001 (the edge: a library's own errors of all kinds end here)
        return Ready(ok=False, code="model_not_loaded", error=str(exc)[:500]), None
    return Ready(ok=True, engine=f"onnxruntime-genai {genai.__version__}"), model


class Chat:
    """A decoder that chats."""

    operations: Collection[str] = ("chat",)
    can: Collection[str] = frozenset({"json_schema", "logprobs", "repetition_penalty", "top_k", "top_logprobs"})

    def __init__(self, genai: Any, config: Config) -> None:
        self._genai = genai
        settings = genai.Config(config.path)
        settings.clear_providers()  # the CPU alone
        threads = {"intra_op_num_threads": config.threads, "inter_op_num_threads": 1}
        settings.overlay(_encode({"model": {"decoder": {"session_options": threads}}}).decode())
        self._model = genai.Model(settings)
        self._tokenizer = genai.Tokenizer(self._model)
        self.context = config.context
        self._batch = config.batch
        self.ends = frozenset(int(token) for token in self._tokenizer.eos_token_ids)
        folder = Path(config.path)
        words = Words.read(folder / "tokenizer.json")
        self.marks: Mapping[int, str] = marked(MARKS, words.special.get)
        self._bytes = words.pieces
        self.tool_format = known_format(_template(folder))

    def prompt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[int]:
        """Tokens of a conversation, by the model's own template."""
        more = {"tools": _encode(tools).decode()} if tools else {}
        try:
            text = self._tokenizer.apply_chat_template(_encode(messages).decode(), add_generation_prompt=True, **more)
        except RuntimeError as exc:
            why = str(exc).partition("\n")[0]
            raise BadRequestError(f"The model's template refuses this conversation: {why}", param="messages") from exc
        return [int(token) for token in self._tokenizer.encode(text)]

    def decode(self, tokens: list[int]) -> str:
        """Text of some tokens, without special ones."""
        if self._bytes:
            return b"".join(self._bytes.get(token, b"") for token in tokens).decode("utf-8", "replace")
        text: str = self._tokenizer.decode(tokens) if tokens else ""
        return self._mended(tokens) if _BROKEN in text else text

    def _mended(self, tokens: list[int]) -> str:
        """The same, character by character: the runtime's decoder drops all that follows a broken one."""
        texts, at = [], 0
        while at < len(tokens):
            width = next((n for n in range(1, 5) if _BROKEN not in self._tokenizer.decode(tokens[at : at + n])), 1)
            texts.append(self._tokenizer.decode(tokens[at : at + width]))
            at += width
        return "".join(texts)

    def write(self, prompt: list[int], limit: int, ask: Ask, step: Step) -> None:
        """Write at most ``limit`` tokens until ``step`` says to stop."""
        parameters = self._genai.GeneratorParams(self._model)
        parameters.set_search_options(**_options(ask, len(prompt) + limit))
        try:
            if ask.schema:
                parameters.set_guidance("json_schema", ask.schema)
            generator = self._genai.Generator(self._model, parameters)
        except RuntimeError as exc:
            if not ask.schema:
                raise
            raise BadRequestError(f"The schema cannot be followed: {exc}", param="response_format") from exc
        for at in range(0, len(prompt), self._batch):  # in one piece, a long prompt takes gigabytes
            generator.append_tokens(prompt[at : at + self._batch])
        while not generator.is_done():
            row = generator.get_logits()[0, -1] if ask.logprobs else None
            generator.generate_next_token()
            token = int(generator.get_next_tokens()[0])
            if step(token, None if row is None else self._logprob(row, token, ask.top)):
                break

    def embed(self, text: str) -> tuple[list[float], int]:
        """It does not."""
        raise NotImplementedError(text)

    def _logprob(self, row: Any, token: int, top: int) -> Logprob:
        """``row``: the scores of all tokens, as an array."""
        import numpy as np

        row = row.astype(np.float64)
        row -= row.max()
        row -= np.log(np.exp(row).sum())
        likeliest = np.argsort(row)[::-1][:top]
        alternatives = tuple((self.decode([int(other)]), float(row[other])) for other in likeliest)
        return Logprob(self.decode([token]), float(row[token]), alternatives)


def _options(ask: Ask, length: int) -> dict[str, Any]:
    """The runtime's search options; what nobody asked for stays as the model's own configuration has it."""
    sampling = ask.sampling
    given = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "repetition_penalty": sampling.repetition_penalty,
        "random_seed": None if sampling.seed is None else sampling.seed % (1 << 31),
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    greedy = sampling.temperature is not None and sampling.temperature < _GREEDY
    if greedy:
        options["temperature"] = 1.0
    return options | {"max_length": length, "do_sample": not greedy, "num_beams": 1, "num_return_sequences": 1}


def _template(folder: Path) -> str:
    """The chat template's text."""
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text("utf-8", "replace")
    settings = msgspec.json.decode((folder / "tokenizer_config.json").read_bytes(), type=dict[str, Any])
    return str(settings.get("chat_template", ""))


if __name__ == "__main__":
    main()
