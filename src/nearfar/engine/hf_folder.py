"""Reads a folder in Hugging Face's layout without trusting it: what the model is, and which of its files are data.

It knows no engine. Only what is data may be named: configuration, tokenizer, templates, safetensors. Python code and
pickles, which run code when they are read, are never among the files. Source: the transformers documentation
("Models", "Chat templates") and the configuration classes of transformers 5.23, 2026-11.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nearfar.engine.folder_files import (
    file_bytes,
    natural,
    object_or_none,
    plain_name,
    present,
    read_json,
    refused,
    tokenizer,
)
from nearfar.engine.header import TRANSFORMERS, Header
from nearfar.engine.safetensors import BITS, Tensors, common_type, read_tensors

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
SMALL = (
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
)
POOLING = "1_Pooling/config.json"
"""Where sentence-transformers writes how token vectors become one."""
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_INDEX = 64 * 1024 * 1024
"""Bytes of an index."""
_MAX_PARTS = 512
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".msgpack", ".h5")
_CHAT = ("ForCausalLM", "LMHeadModel")
_ENCODERS = frozenset(
    {
        "albert",
        "bert",
        "camembert",
        "deberta-v2",
        "distilbert",
        "electra",
        "eurobert",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm-roberta",
    }
)
"""Model types that read in both directions: they embed and cannot chat."""
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "last"}


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that may be run."""

    header: Header
    files: tuple[str, ...]
    """Names in the folder that the engine needs, all of them data; nothing else is taken in."""


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def read_folder(folder: Path) -> Folder:
    """What lies in ``folder``. Raises ModelFileError."""
    config = read_json(folder / CONFIG, dict[str, Any])
    settings = object_or_none(folder / "tokenizer_config.json") or {}
    _refuse_code(folder, config, settings)
    kind = str(config.get("model_type") or "")
    architecture = _architecture(config)
    embedding = kind in _ENCODERS and not architecture.endswith(_CHAT)
    if not kind or (not embedding and not architecture.endswith(_CHAT)) or config.get("is_encoder_decoder") is True:
        what = architecture or kind or "an unnamed architecture"
        raise refused(folder, f"holds {what}, which is neither a chat model nor a text encoder")
    if config.get("quantization_config"):
        hint = "Take the original weights, or a GGUF file for a smaller model."
        raise refused(folder, "holds weights that are quantized for another engine", hint=hint)
    weights, tensors = _weights(folder)
    files = [CONFIG, tokenizer(folder), *weights, *(name for name in SMALL if present(folder / name))]
    pooling = object_or_none(folder / POOLING) if embedding else None
    if pooling is not None:
        files.append(POOLING)
    template = _has_template(folder, settings)
    if not embedding and not template:
        raise refused(
            folder,
            "has no chat template, so it cannot chat",
            code="model_incomplete",
            hint="Take the instruction-tuned version of the model, or put its chat_template.jinja beside it.",
        )
    header = _header(config, tensors, kind=kind, embedding=embedding, pooling=_pooling(pooling), template=template)
    size = sum(file_bytes(folder / name) for name in files)
    return Folder(header=msgspec.structs.replace(header, file_bytes=size), files=tuple(files))


def _refuse_code(folder: Path, *configs: dict[str, Any]) -> None:
    """A model that brings its own Python is refused: reading it would run it."""
    for config in configs:
        if config.get("auto_map") or config.get("custom_pipelines"):
            raise refused(
                folder,
                "wants to run Python code of its own (auto_map), which nearfar never does",
                code="model_brings_code",
                hint="Take a version of the model that transformers supports by itself, or a GGUF file.",
            )


def _architecture(config: dict[str, Any]) -> str:
    named = config.get("architectures")
    return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""


def _weights(folder: Path) -> tuple[list[str], list[Tensors]]:
    """The files of the weights, and what is in them."""
    if present(folder / INDEX):
        mapped, parts = indexed(folder)
        found = [read_tensors(folder / part) for part in parts]
        lost = mapped.keys() - frozenset().union(*(tensors.names for tensors in found))
        if lost:
            what = f"lacks {len(lost)} tensors that its index names, such as {min(lost)[:80]}"
            raise refused(folder, what, code="model_incomplete", hint="Fetch the folder again.")
        return [INDEX, *parts], found
    if present(folder / WEIGHTS):
        return [WEIGHTS], [read_tensors(folder / WEIGHTS)]
    pickles = sorted(entry.name for entry in folder.iterdir() if entry.suffix in _PICKLES)
    if pickles:
        raise refused(
            folder,
            f"has its weights in {pickles[0]}, a format that can run code when it is read",
            code="model_pickle",
            hint="Take a version with safetensors, or convert it on a machine that you can lose.",
        )
    raise refused(folder, f"has no {WEIGHTS}", code="model_incomplete", hint="Fetch the folder again.")


def indexed(folder: Path) -> tuple[dict[str, str], list[str]]:
    """What the index in ``folder`` says: tensor → file, and all those files. Raises ModelFileError."""
    mapped = read_json(folder / INDEX, _Index, limit=MAX_INDEX).weight_map
    parts = sorted(set(mapped.values()))
    if not 0 < len(parts) <= _MAX_PARTS or not all(plain_name(p) and p.endswith(".safetensors") for p in parts):
        raise refused(folder / INDEX, "names files that are no weights", code="model_file_invalid")
    return mapped, parts


def _has_template(folder: Path, settings: dict[str, Any]) -> bool:
    names = ("chat_template.jinja", "chat_template.json")
    return bool(settings.get("chat_template")) or any(present(folder / name) for name in names)


def _pooling(config: dict[str, Any] | None) -> str:
    chosen = [word for name, word in _POOLINGS.items() if config and config.get(name) is True]
    return chosen[0] if chosen else "mean"


def _header(
    config: dict[str, Any], tensors: list[Tensors], *, kind: str, embedding: bool, pooling: str, template: bool
) -> Header:
    inner = config.get("text_config")
    facts = {**config, **inner} if isinstance(inner, dict) else config

    def number(*names: str) -> int:
        return next((found for name in names if (found := natural(facts.get(name)))), 0)

    by_type: dict[str, int] = {}
    for found in tensors:
        for name, size in found.by_type.items():
            by_type[name] = by_type.get(name, 0) + size
    common = common_type(by_type)
    heads, width = number("num_attention_heads", "n_head"), number("hidden_size", "n_embd", "dim", "d_model")
    head = number("head_dim") or (width // heads if heads else 0)
    experts = number("num_experts_per_tok") * number("moe_intermediate_size")
    return Header(
        engine=TRANSFORMERS,
        architecture=kind,
        parts=len(tensors),
        file_bytes=0,
        tensor_bytes=sum(found.bytes for found in tensors),
        tensors=sum(len(found.names) for found in tensors),
        parameters=sum(found.parameters for found in tensors),
        quantization=common,
        context_length=number("max_position_embeddings", "n_positions", "n_ctx"),
        layers=number("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        embedding_length=width,
        feed_forward=max(number("intermediate_size", "n_inner", "ffn_dim", "hidden_dim") or 4 * width, experts),
        heads=heads,
        kv_heads=(number("num_key_value_heads") or heads,) if heads else (),
        key_length=head,
        value_length=head,
        vocabulary=number("vocab_size"),
        tokenizer="tokenizer.json",
        pooling=pooling if embedding else "",
        embedding=embedding,
        has_chat_template=template,
        number_bytes=max(1, BITS.get(common, 32) // 8),
    )
