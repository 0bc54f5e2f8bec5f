"""The child process that runs one model with transformers: ``python -m nearfar.engine.child_transformers``.

It reads safetensors and JSON alone: no pickle, no code of the model's own, nothing from a network.
Source: transformers 5.23's generation and tokenizer interfaces, 2026-11.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from nearfar.core.errors import BadRequestError, ContextTooLong
from nearfar.engine import isolate
from nearfar.engine.child_chat import Ask, Logprob, Sampling
from nearfar.engine.child_serve import Model, Step, marked, run
from nearfar.engine.child_start import begin
from nearfar.engine.child_tools import MARKS, known_format
from nearfar.engine.messages import Config, Ready
from nearfar.engine.runtimes import TRANSFORMERS, missing

_CAN = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "min_p",
        "presence_penalty",
        "repetition_penalty",
        "top_k",
        "top_logprobs",
    }
)
_CERTAIN = 1e6
"""What a bias of 100 stands for: infinity would leave nothing to choose from."""
_GREEDY = 1e-4
"""A temperature below it means the likeliest token."""


def main() -> None:
    """Load the model, say so, and serve until the parent goes."""
    run(begin(), load)


def load(config: Config) -> tuple[Ready, Model | None]:
    """(what to report, the model or None)."""
    try:
        import torch
        import transformers
    except ImportError as exc:
        return missing(TRANSFORMERS, exc), None
    isolate.limit_data(config.data_limit)
    torch.set_num_threads(config.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model: Model = Embedder(transformers, torch, config) if config.embedding else Chat(transformers, torch, config)
    except Exception as exc:  # noqa: BLE001 (the edge: a library's own errors of all kinds end here)
        return Ready(ok=False, code="model_not_loaded", error=f"{type(exc).__name__}: {str(exc)[:500]}"), None
    return Ready(ok=True, engine=f"transformers {transformers.__version__}, torch {torch.__version__}"), model


def _open(kind: Any, config: Config, **more: Any) -> Any:
    return kind.from_pretrained(config.path, local_files_only=True, trust_remote_code=False, **more)


def _weights(kind: Any, config: Config) -> Any:
    """The weights as they are; attention in the quickest way that the architecture knows."""
    options: dict[str, Any] = {"use_safetensors": True, "dtype": "auto"}
    try:
        model = _open(kind, config, attn_implementation="sdpa", **options)
    except ValueError:  # this architecture has no such attention
        model = _open(kind, config, attn_implementation="eager", **options)
    return model.eval()


class Chat:
    """A decoder that chats."""

    operations: Collection[str] = ("chat",)
    can: Collection[str] = _CAN

    def __init__(self, transformers: Any, torch: Any, config: Config) -> None:
        self._transformers = transformers
        self._torch = torch
        self._batch = config.batch
        self._tokenizer = _open(transformers.AutoTokenizer, config)
        self._model = _weights(transformers.AutoModelForCausalLM, config)
        self.context = config.context
        defaults = self._model.generation_config
        named = defaults.eos_token_id if defaults.eos_token_id is not None else self._tokenizer.eos_token_id
        self.ends = frozenset(named if isinstance(named, list) else [named]) - {None}
        special = {token.content: number for number, token in self._tokenizer.added_tokens_decoder.items()}
        self.marks: Mapping[int, str] = marked(MARKS, special.get)
        self.tool_format = known_format(str(self._tokenizer.chat_template))

    def prompt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[int]:
        """Tokens of a conversation, by the model's own template."""
        from jinja2 import TemplateError

        try:
            text = self._tokenizer.apply_chat_template(
                messages, tools=tools or None, add_generation_prompt=True, tokenize=False
            )
        except (TemplateError, TypeError, KeyError, AttributeError) as exc:
            raise BadRequestError(f"The model's template refuses this conversation: {exc}", param="messages") from exc
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    def decode(self, tokens: list[int]) -> str:
        """Text of some tokens, without special ones."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def write(self, prompt: list[int], limit: int, ask: Ask, step: Step) -> None:
        """Write at most ``limit`` tokens until ``step`` says to stop."""
        torch = self._torch
        sampling = ask.sampling
        vocabulary = self._model.config.get_text_config().vocab_size
        if any(token >= vocabulary for token in sampling.logit_bias):
            raise BadRequestError("logit_bias names a token that the model does not have.", param="logit_bias")
        if sampling.seed is None:
            torch.seed()
        else:
            torch.manual_seed(sampling.seed % (1 << 63))
        scores = _Scores(self, ask, len(prompt))
        tokens = torch.tensor([prompt])
        with torch.inference_mode():
            self._model.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                generation_config=self._generation(sampling, limit),
                logits_processor=[scores],
                stopping_criteria=[_Each(torch, scores, step)],
            )

    def _generation(self, sampling: Sampling, limit: int) -> Any:
        """The model's own defaults, and over them what the request asks for."""
        wanted = self._transformers.GenerationConfig.from_dict(self._model.generation_config.to_dict())
        given = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
        }
        for name, value in given.items():
            if value is not None:
                setattr(wanted, name, value)
        greedy = sampling.temperature is not None and sampling.temperature < _GREEDY
        wanted.do_sample = not greedy
        if greedy:
            wanted.temperature = wanted.top_p = wanted.top_k = wanted.min_p = None
        wanted.max_new_tokens, wanted.max_length, wanted.num_beams = limit, None, 1
        wanted.num_return_sequences = 1
        wanted.prefill_chunk_size = self._batch  # else the memory of a long prompt's first pass has no bound
        wanted.eos_token_id = sorted(self.ends) or None
        if wanted.pad_token_id is None:
            wanted.pad_token_id = min(self.ends, default=0)
        return wanted

    def embed(self, text: str) -> tuple[list[float], int]:
        """It does not."""
        raise NotImplementedError(text)

    def logprob(self, row: Any, token: int, top: int) -> Logprob:
        """What the model thought of ``token`` and of its alternatives. ``row``: log-probabilities of all tokens."""
        best = row.topk(top) if top else None
        likeliest = zip(best.values.tolist(), best.indices.tolist(), strict=True) if best is not None else ()
        alternatives = tuple((self._tokenizer.decode([other]), value) for value, other in likeliest)
        return Logprob(self._tokenizer.decode([token]), float(row[token]), alternatives)


class _Scores:
    """Sees the scores of all tokens before one is chosen: notes the model's own, then bends them as asked."""

    def __init__(self, chat: Chat, ask: Ask, prompt: int) -> None:
        self._chat = chat
        self._ask = ask
        self._prompt = prompt
        self._row: Any = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        sampling = self._ask.sampling
        if self._ask.logprobs:
            self._row = scores[0].float().log_softmax(-1)
        if sampling.logit_bias:
            scores = scores.clone()
            for token, weight in sampling.logit_bias.items():
                scores[0, token] += weight if abs(weight) < 100 else math.copysign(_CERTAIN, weight)
        if sampling.presence_penalty or sampling.frequency_penalty:
            counts = input_ids[0, self._prompt :].bincount(minlength=scores.shape[-1])
            scores = scores - counts * sampling.frequency_penalty - (counts > 0) * sampling.presence_penalty
        return scores

    def logprob(self, token: int) -> Logprob | None:
        """Of the token that was chosen just now; None when nobody asked."""
        return None if self._row is None else self._chat.logprob(self._row, token, self._ask.top)


class _Each:
    """Sees each token when it is chosen."""

    def __init__(self, torch: Any, scores: _Scores, step: Step) -> None:
        self._torch = torch
        self._scores = scores
        self._step = step

    def __call__(self, input_ids: Any, scores: Any, **more: Any) -> Any:  # noqa: ARG002 (the interface's)
        token = int(input_ids[0, -1])
        return self._torch.tensor([self._step(token, self._scores.logprob(token))])


class Embedder:
    """An encoder whose token vectors become one."""

    operations: Collection[str] = ("embeddings",)
    can: Collection[str] = ()
    ends: frozenset[int] = frozenset()
    tool_format = ""

    def __init__(self, transformers: Any, torch: Any, config: Config) -> None:
        self._torch = torch
        self._pooling = config.pooling
        self._tokenizer = _open(transformers.AutoTokenizer, config)
        self._model = _weights(transformers.AutoModel, config)
        self.context = config.context
        self.marks: Mapping[int, str] = {}

    def prompt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[int]:
        """It does not chat."""
        raise NotImplementedError

    def decode(self, tokens: list[int]) -> str:
        """It writes nothing."""
        raise NotImplementedError

    def write(self, prompt: list[int], limit: int, ask: Ask, step: Step) -> None:
        """It writes nothing."""
        raise NotImplementedError

    def embed(self, text: str) -> tuple[list[float], int]:
        """The vector of ``text``, of length one, as sentence-transformers makes it."""
        torch = self._torch
        tokens = self._tokenizer(text, return_tensors="pt")
        count = int(tokens["input_ids"].shape[1])
        if count > self.context:
            raise ContextTooLong(f"The text has {count} tokens, the context {self.context}.")
        with torch.inference_mode():
            states = self._model(**tokens).last_hidden_state[0].float()
            pooled = {"cls": states[0], "last": states[-1]}.get(self._pooling, states.mean(0))
            vector: list[float] = torch.nn.functional.normalize(pooled, dim=0).tolist()
        return vector, count


if __name__ == "__main__":
    main()
