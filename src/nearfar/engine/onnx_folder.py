"""Reads a folder made for ONNX Runtime GenAI without trusting it: what the model is, and which files belong to it.

It knows no engine. The configuration may name libraries that the runtime would load as code, and files anywhere: only
members known to be harmless pass, and only names inside the folder. Source: ONNX Runtime GenAI 0.18's configuration
(``genai_config.json`` as its model builder writes it, and the member names in its parser), 2026-11.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.folder_files import file_bytes, natural, object_or_none, plain_name, present, refused, tokenizer
from nearfar.engine.header import ONNX, Header
from nearfar.engine.hf_folder import Folder
from nearfar.engine.onnx_file import read_graph

CONFIG = "genai_config.json"
_SMALL = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
)
_MODEL = frozenset({"context_length", "decoder", "type", "vocab_size"})
"""Members of ``model`` for a decoder that reads text, besides ids of tokens; others belong to images, speech, …"""
_DECODER = frozenset(
    {
        "session_options",
        "run_options",
        "filename",
        "head_size",
        "hidden_size",
        "inputs",
        "outputs",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "sliding_window",
        "layer_types",
    }
)
_SESSION = frozenset(
    {
        "log_id",
        "log_severity_level",
        "log_verbosity_level",
        "provider_options",
        "enable_cpu_mem_arena",
        "enable_mem_pattern",
        "graph_optimization_level",
        "inter_op_num_threads",
        "intra_op_num_threads",
        "use_env_allocators",
    }
)
"""Not ``custom_ops_library`` (loads code), ``enable_profiling`` (writes files), or free configuration entries."""


def read_folder(folder: Path) -> Folder:
    """What lies in ``folder``. Raises ModelFileError."""
    config = object_or_none(folder / CONFIG) or {}
    model = _member(folder, config, "model")
    decoder = _member(folder, model, "decoder")
    session = decoder.get("session_options") or {}
    _only(folder, config, frozenset({"model", "search"}), "")
    _only(folder, {name: member for name, member in model.items() if not _is_token(name, member)}, _MODEL, "model.")
    _only(folder, decoder, _DECODER, "model.decoder.")
    _only(folder, session if isinstance(session, dict) else {"": session}, _SESSION, "model.decoder.session_options.")
    if decoder.get("run_options"):
        raise _strange(folder, "model.decoder.run_options")
    if session.get("provider_options"):
        hint = "Take the version of the model that is made for the CPU."
        raise refused(folder, "is made for an accelerator, and this engine runs on the CPU", hint=hint)
    graph = decoder.get("filename", "model.onnx")
    if not plain_name(graph) or not graph.endswith(".onnx"):
        raise refused(folder / CONFIG, f"names no model file ({str(graph)[:80]!r})", code="model_file_invalid")
    found = read_graph(folder / graph)
    external = found.external
    small = [name for name in _SMALL if present(folder / name)]
    settings = object_or_none(folder / "tokenizer_config.json") or {}
    template = bool(settings.get("chat_template")) or "chat_template.jinja" in small
    if not template:
        hint = "Put the model's chat_template.jinja beside it."
        raise refused(folder, "has no chat template, so it cannot chat", code="model_incomplete", hint=hint)
    files = (CONFIG, tokenizer(folder), graph, *sorted(external), *small)
    weights = sum(file_bytes(folder / name) for name in (graph, *external))
    header = _header(model, decoder, weights, half=found.half)
    size = sum(file_bytes(folder / name) for name in files)
    return Folder(header=msgspec.structs.replace(header, file_bytes=size), files=files)


def _member(folder: Path, config: dict[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    if not isinstance(found, dict):
        raise refused(folder / CONFIG, f"has no {name!r}", code="model_file_invalid")
    return found


def _only(folder: Path, found: dict[str, Any], known: frozenset[str], where: str) -> None:
    for name in found:
        if name not in known:
            raise _strange(folder, f"{where}{name[:80]}")


def _is_token(name: str, member: object) -> bool:
    """Whether a member of ``model`` is the id of a token, or a list of them."""
    return name.endswith("_token_id") and isinstance(member, int | list)


def _strange(folder: Path, member: str) -> ModelFileError:
    hint = "nearfar runs text decoders on the CPU, without libraries or tools of the model's own."
    return refused(folder, f"has {member} in its {CONFIG}, which nearfar does not pass on", hint=hint)


def _header(model: dict[str, Any], decoder: dict[str, Any], weights: int, *, half: bool) -> Header:
    head, heads = natural(decoder.get("head_size")), natural(decoder.get("num_attention_heads"))
    width = natural(decoder.get("hidden_size"))
    return Header(
        engine=ONNX,
        architecture=str(model.get("type") or "decoder")[:80],
        file_bytes=0,
        tensor_bytes=weights,
        repacked_bytes=weights if half else 0,
        context_length=natural(model.get("context_length")),
        layers=natural(decoder.get("num_hidden_layers")),
        embedding_length=width,
        feed_forward=4 * width,
        heads=heads,
        kv_heads=(natural(decoder.get("num_key_value_heads")) or heads,) if heads else (),
        key_length=head,
        value_length=head,
        vocabulary=natural(model.get("vocab_size")),
        tokenizer="tokenizer.json",
        has_chat_template=True,
        number_bytes=4,
    )
