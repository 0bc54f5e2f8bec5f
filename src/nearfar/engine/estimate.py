"""How a model will be run and what memory that needs, computed from its header before anything is loaded.

It reads no file and starts nothing. The figures are upper bounds fitted to measurements of the real engine with models
of random weights (``tests/engine/test_estimate.py`` holds them against it again): sliding windows are counted as full
attention, because which layers have one is not always in the header.
"""

from __future__ import annotations

import msgspec

from nearfar.engine.gguf_types import EMBEDDING_ARCHITECTURES
from nearfar.engine.header import ONNX, TRANSFORMERS, Header
from nearfar.settings.model import Engine

MB = 1024 * 1024
_OVERHEAD = 64 * MB  # measured: 34 MB when ready, 44 MB after use
_BYTES_PER_TOKEN_OF_VOCABULARY = 256  # measured: 200, for the tokenizer's tables
_CANDIDATE_BYTES = 24  # per token of the vocabulary and slot, while sampling
_BATCH = 512
_ROUND = 256  # the engine rounds the context of a slot up to this, unless the model was trained for less
_CHECKPOINTS = 2
_UNKNOWN_CONTEXT = 2048
_SMALLEST_CONTEXT = 1024  # below it a chat model is of little use


class _Costs(msgspec.Struct, frozen=True):
    """What an engine that answers one request at a time needs besides."""

    overhead: int
    per_token_of_vocabulary: int
    kv: int
    """Times keys and values lie in memory."""
    logits: int
    """Times the scores of a batch lie in memory."""


_ONE_AT_A_TIME = {
    # Measured: 350 MB with its libraries when ready; each step makes keys and values anew, a layer at a time.
    TRANSFORMERS: _Costs(overhead=420 * MB, per_token_of_vocabulary=1024, kv=2, logits=0),
    # Measured: 72 MB; scores are kept for a whole batch.
    ONNX: _Costs(overhead=160 * MB, per_token_of_vocabulary=1024, kv=2, logits=2),
}


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of memory by their use."""

    weights: int
    """Counted once. Types that the engine repacks lie in memory twice at first, but the mapped copy can be dropped."""
    kv: int
    """Keys and values of every token that fits."""
    compute: int
    checkpoints: int
    """Saved states of sliding windows."""
    prompt_cache: int
    overhead: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.kv + self.compute + self.checkpoints + self.prompt_cache + self.overhead

    @property
    def text(self) -> str:
        """For people: ``5.1 GB (weights 3.9 GB, context 1.0 GB, rest 200 MB)``."""
        rest = self.total - self.weights - self.kv
        return f"{size(self.total)} (weights {size(self.weights)}, context {size(self.kv)}, rest {size(rest)})"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a model will be run."""

    context: int
    """Tokens per slot."""
    slots: int
    batch: int
    """Tokens computed at once; an embedding input must fit into it whole."""
    checkpoints: int
    """Saved states per slot."""
    prompt_cache_mb: int
    estimate: Estimate

    @property
    def data_limit(self) -> int:
        """Bytes of private memory the child may map: a fence against running away, far above the estimate."""
        return 2 * self.estimate.total + 1024 * MB


def plan(header: Header, settings: Engine) -> Plan:
    """How ``header``'s model will be run under ``settings``."""
    asked = -(-settings.context // _ROUND) * _ROUND
    context = min(asked, header.context_length or _UNKNOWN_CONTEXT)
    batch = max(_BATCH, context) if header.embedding else _BATCH
    costs = _ONE_AT_A_TIME.get(header.engine)
    if costs is not None:
        return _one_at_a_time(header, settings, costs, context, batch)
    # Without checkpoints a model with a sliding window computes the whole prompt again at each turn. The engine's own
    # default of 32 per slot can take more memory than everything else together.
    checkpoints = _CHECKPOINTS if header.sliding_window else 0
    prompt_cache_mb = 0 if header.embedding else settings.prompt_cache_mb
    estimate = Estimate(
        weights=header.tensor_bytes,
        kv=_kv_bytes(header, context) * settings.slots,
        compute=_compute_bytes(header, context, batch, settings.slots),
        checkpoints=_kv_bytes(header, min(context, header.sliding_window + batch)) * checkpoints * settings.slots,
        prompt_cache=prompt_cache_mb * MB,
        overhead=_OVERHEAD + header.vocabulary * _BYTES_PER_TOKEN_OF_VOCABULARY,
    )
    return Plan(
        context=context,
        slots=settings.slots,
        batch=batch,
        checkpoints=checkpoints,
        prompt_cache_mb=prompt_cache_mb,
        estimate=estimate,
    )


def _one_at_a_time(header: Header, settings: Engine, costs: _Costs, context: int, batch: int) -> Plan:
    logits = header.vocabulary * batch * 4 * costs.logits
    estimate = Estimate(
        weights=header.tensor_bytes + header.repacked_bytes,
        kv=_kv_bytes(header, context) * costs.kv,
        compute=2 * _compute_bytes(header, context, batch, 1) + logits,
        checkpoints=0,
        prompt_cache=0,
        overhead=costs.overhead + header.vocabulary * costs.per_token_of_vocabulary,
    )
    return Plan(context=context, slots=settings.slots, batch=batch, checkpoints=0, prompt_cache_mb=0, estimate=estimate)


def advice(header: Header, settings: Engine, budget: int) -> str:
    """The next step for somebody whose model does not fit into ``budget`` bytes: fewer slots, then less context."""
    context = plan(header, settings).context
    while context >= _SMALLEST_CONTEXT:
        for slots in range(settings.slots, 0, -1):
            smaller = msgspec.structs.replace(settings, slots=slots, context=context)
            if plan(header, smaller).estimate.total <= budget:
                return f"It fits with engine.slots = {slots} and engine.context = {context}."
        context //= 2
    return "Use a smaller model or a stronger quantization of it."


def size(count: int) -> str:
    """``count`` bytes for people, in decimal units."""
    return f"{count / 1e9:.1f} GB" if count >= 1_000_000_000 else f"{count / 1e6:.0f} MB"


def _kv_bytes(header: Header, tokens: int) -> int:
    """Keys and values of ``tokens`` tokens in all layers."""
    if header.architecture in EMBEDDING_ARCHITECTURES or (header.embedding and header.engine == TRANSFORMERS):
        return 0  # encoders keep none
    heads = header.kv_heads or (header.heads,)
    in_all_layers = sum(heads) if len(heads) > 1 else heads[0] * header.layers
    return in_all_layers * (header.key_length + header.value_length) * header.number_bytes * tokens


def _compute_bytes(header: Header, context: int, batch: int, slots: int) -> int:
    """Intermediate values of one batch, its attention mask, and the logits of every slot."""
    attention = header.heads * (header.key_length + header.value_length)
    activations = (8 * header.embedding_length + 3 * header.feed_forward + 2 * attention) * 4 * batch
    mask = context * batch * 6  # in 32 and in 16 bits
    return activations + mask + header.vocabulary * slots * _CANDIDATE_BYTES
