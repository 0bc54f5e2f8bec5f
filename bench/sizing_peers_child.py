"""Runs in the calculators' own interpreter: reads questions as JSON, asks each calculator, prints the answers.

It knows no nearfar. See bench/sizing_peers.py.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import logging
import sys
from typing import Any


def hf_mem(question: dict[str, Any]) -> float:
    from hf_mem.safetensors.kv_cache import compute_safetensors_kv_cache_size  # type: ignore[import-not-found]  # only in its own interpreter

    return float(compute_safetensors_kv_cache_size(question["config"], "F16", question["context"]))


def llm_analysis(question: dict[str, Any]) -> float:
    from llm_analysis.analysis import LLMAnalysis  # type: ignore[import-not-found]  # only in its own interpreter
    from llm_analysis.config import (  # type: ignore[import-not-found]  # only in its own interpreter
        ModelConfig,
        get_dtype_config_by_name,
        get_gpu_config_by_name,
    )

    sizes = question["config"]
    model = ModelConfig(
        name="asked",
        num_layers=sizes["num_hidden_layers"],
        n_head=sizes["num_attention_heads"],
        hidden_dim=sizes["hidden_size"],
        vocab_size=sizes["vocab_size"],
        max_seq_len=sizes["max_position_embeddings"],
        num_key_value_heads=sizes["num_key_value_heads"],
    )  # without the feed-forward's width, which it takes in multiples of the model's alone; the cache does not need it
    analysis = LLMAnalysis(model, get_gpu_config_by_name("a100-sxm-80gb"), get_dtype_config_by_name("w16a16e16"))
    each = analysis.get_memory_kv_cache_per_layer(1, question["context"], kv_cache_dtype_bytes=2)
    return float(each * sizes["num_hidden_layers"])


def genz(question: dict[str, Any]) -> float | None:
    if not question["genz"]:
        return None
    from GenZ import get_configs  # type: ignore[import-not-found]  # only in its own interpreter

    return float(get_configs(question["genz"]).get_kv_size() * 2 * question["context"])


def main() -> None:
    logging.disable(logging.CRITICAL)
    answers: dict[str, dict[str, float | None]] = {}
    questions = json.load(sys.stdin)
    for package, calculator in (("hf-mem", hf_mem), ("llm-analysis", llm_analysis), ("genz-llm", genz)):
        name = f"{package} {importlib.metadata.version(package)}"
        with contextlib.redirect_stdout(io.StringIO()):
            answers[name] = {question["id"]: calculator(question) for question in questions}
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
