"""The cache of ten models as engines logged it, in calculators that run offline from the package index, and in ours.

    python -m bench.sizing_peers PYTHON [--json FILE]

PYTHON is an interpreter that has them: ``pip install hf-mem llm-analysis genz-llm`` in an environment of its own.
Each gets the sizes from the model's own configuration; a calculator with a list of models is asked for those
that it knows. Measured: logs of llama.cpp, and what memory Transformers added between two lengths (Qwen's page).
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import NamedTuple

from nearfar.advisor.cache import Engine, cache
from nearfar.catalog.models import Model, shipped

CHILD = Path(__file__).with_name("sizing_peers_child.py")
MIB = 2.0**20


class Measured(NamedTuple):
    """A cache of 16-bit numbers, one sequence."""

    model: str
    context: int
    mib: float
    engine: Engine
    source: str


POINTS = (
    Measured("mistral-7b-v0.3", 8192, 1024, "llama.cpp", "llama.cpp log"),
    Measured("qwen3-1.7b", 1024, 112, "llama.cpp", "llama.cpp log"),
    Measured("qwen3-235b-a22b", 4096, 752, "llama.cpp", "llama.cpp log"),
    Measured("llama-3.1-405b", 4096, 2016, "llama.cpp", "llama.cpp log"),
    Measured("phi-3-mini-4k", 4096, 1536, "llama.cpp", "llama.cpp log"),
    Measured("deepseek-r1", 16384, 1098, "llama.cpp", "llama.cpp log, latent attention"),
    Measured("gpt-oss-20b", 131072, 3090, "llama.cpp", "ggml forum log, 3072 + 18"),
    Measured("qwen3.6-27b", 262144, 16384, "llama.cpp", "lmstudio-bug-tracker#1862"),
    Measured("qwen3-14b", 30719, 33336 - 28402, "transformers", "Qwen3 speed_benchmark.md, BF16"),
    Measured("qwen3-32b", 30719, 41060 - 33379, "transformers", "Qwen3 speed_benchmark.md, FP8"),
)
GENZ = {
    "mistral-7b-v0.3": "mistralai/Mistral-7B",
    "llama-3.1-405b": "meta-llama/meta-llama-3.1-405b",
    "phi-3-mini-4k": "microsoft/Phi-3-mini",
    "deepseek-r1": "deepseek-ai/DeepSeek-V3-Base",
}
"""Our id → what GenZ calls it."""


def config(model: Model) -> dict[str, object]:
    """The model's sizes in the words of its ``config.json``."""
    shape = model.shape
    made: dict[str, object] = {
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "num_hidden_layers": shape.layers,
        "vocab_size": shape.vocab,
        "intermediate_size": shape.ffn,
        "max_position_embeddings": model.context,
    }
    if shape.attention == "mla":  # its configuration states no width of a head
        return made
    made["head_dim"] = shape.head_dim
    others = {"window": "sliding_attention", "chunked": "chunked_attention", "hybrid": "linear_attention"}
    if shape.attention in others:
        whole, rest = shape.full_layers, shape.layers - shape.full_layers
        made["layer_types"] = ["full_attention"] * whole + [others[shape.attention]] * rest
        made["sliding_window"] = shape.window or None
    return made


def ask(python: str) -> dict[str, dict[str, float | None]]:
    """Calculator → model → bytes; None for models that it does not know."""
    known = shipped()
    asked = [
        {
            "id": point.model,
            "context": point.context,
            "config": config(known[point.model]),
            "genz": GENZ.get(point.model),
        }
        for point in POINTS
    ]
    done = subprocess.run(
        [python, str(CHILD)], input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise SystemExit(f"{python} cannot run the calculators:\n{done.stderr[-2000:]}")
    answers: dict[str, dict[str, float | None]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def report(answers: dict[str, dict[str, float | None]]) -> list[dict[str, object]]:
    """One row per model: measured MiB, and each calculator's over it."""
    rows = []
    for point in POINTS:
        measured = point.mib * MIB
        ours = cache(shipped()[point.model], point.context, engine=point.engine).total
        told: dict[str, object] = {
            "model": point.model,
            "context": point.context,
            "measured_mib": point.mib,
            "source": point.source,
            "nearfar": round(ours / measured, 3),
        }
        for name, values in answers.items():
            value = values.get(point.model)
            told[name] = None if value is None else round(value / measured, 3)
        rows.append(told)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="an interpreter that has the calculators")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = report(ask(given.python))
    text = json.dumps(rows, indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
