from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.engine.talk import CHAT, ask
from tests.tiny_gguf import write_chat

from nearfar.engine.estimate import Estimate, advice, plan, size
from nearfar.engine.gguf import read_header
from nearfar.engine.header import ONNX, TRANSFORMERS, Header
from nearfar.engine.library import Library
from nearfar.engine.supervisor import Supervisor
from nearfar.settings.model import Engine

# A model of eight billion parameters as it is commonly found.
EIGHT = Header(
    architecture="llama",
    version=3,
    file_bytes=4_900_000_000,
    tensor_bytes=4_900_000_000,
    context_length=131_072,
    layers=32,
    embedding_length=4096,
    feed_forward=14_336,
    heads=32,
    kv_heads=(8,),
    key_length=128,
    value_length=128,
    vocabulary=128_256,
)


def test_keys_and_values_follow_from_the_shape() -> None:
    planned = plan(EIGHT, Engine(context=8192, slots=4))
    assert planned.context == 8192
    assert planned.estimate.kv == 4 * 8192 * 32 * 8 * (128 + 128) * 2
    assert planned.estimate.weights == EIGHT.tensor_bytes
    assert planned.estimate.prompt_cache == 64 * 1024 * 1024
    assert 9.3e9 < planned.estimate.total < 9.8e9
    assert planned.data_limit > planned.estimate.total


def test_layers_may_differ() -> None:
    mixed = msgspec.structs.replace(EIGHT, layers=4, kv_heads=(8, 0, 0, 2))
    assert plan(mixed, Engine(context=1024, slots=1)).estimate.kv == 1024 * 10 * 256 * 2


@pytest.mark.parametrize(
    ("asked", "trained", "context"),
    [(8192, 2048, 2048), (8192, 131_072, 8192), (1000, 131_072, 1024), (1000, 1000, 1000), (8192, 0, 2048)],
)
def test_context_is_never_more_than_trained_for(asked: int, trained: int, context: int) -> None:
    header = msgspec.structs.replace(EIGHT, context_length=trained)
    assert plan(header, Engine(context=asked)).context == context


def test_embedding_models_keep_no_keys_and_take_an_input_in_one_batch(tiny_embedding_gguf: Path) -> None:
    header = msgspec.structs.replace(read_header(tiny_embedding_gguf), context_length=4096)
    planned = plan(header, Engine())
    assert (planned.batch, planned.estimate.kv, planned.prompt_cache_mb) == (4096, 0, 0)


def test_sliding_windows_get_few_checkpoints_and_they_are_counted() -> None:
    assert plan(EIGHT, Engine()).checkpoints == 0
    sliding = plan(msgspec.structs.replace(EIGHT, sliding_window=1024), Engine(context=8192, slots=2))
    assert sliding.checkpoints == 2
    assert sliding.estimate.checkpoints == 2 * 2 * (1024 + 512) * 32 * 8 * 256 * 2


def test_a_header_that_lies_costs_nothing_to_plan() -> None:
    monster = msgspec.structs.replace(EIGHT, layers=2**63, key_length=2**63, kv_heads=(2**63,))
    assert plan(monster, Engine()).estimate.total > 2**180


def test_advice_names_settings_that_fit() -> None:
    settings = Engine(context=8192, slots=4)
    budget = 7_000_000_000
    text = advice(EIGHT, settings, budget)
    assert text == "It fits with engine.slots = 1 and engine.context = 8192."
    assert plan(EIGHT, Engine(context=8192, slots=1)).estimate.total <= budget
    assert "smaller model" in advice(EIGHT, settings, 1_000_000_000)


def test_sizes_for_people() -> None:
    assert [size(n) for n in (0, 130_000_000, 4_940_000_000)] == ["0 MB", "130 MB", "4.9 GB"]
    estimate = Estimate(weights=4_000_000_000, kv=10**9, compute=0, checkpoints=0, prompt_cache=0, overhead=10**8)
    assert estimate.text == "5.1 GB (weights 4.0 GB, context 1.0 GB, rest 100 MB)"


class Shape(msgspec.Struct, frozen=True):
    width: int = 64
    layers: int = 2
    feed_forward: int = 128
    extra_tokens: int = 0
    context: int = 2048
    slots: int = 4
    quantization: str = "F16"


async def measured(folder: Path, shape: Shape) -> tuple[int, int]:
    """(estimate, resident bytes after every slot was filled twice) of a model with random weights."""
    path = write_chat(
        folder / "m.gguf",
        context=shape.context,
        width=shape.width,
        layers=shape.layers,
        feed_forward=shape.feed_forward,
        extra_tokens=shape.extra_tokens,
        quantization=shape.quantization,
    )
    library = Library(folder / "models")
    library.add(path)
    settings = Engine(context=shape.context, slots=shape.slots, prompt_cache_mb=16, threads=1)
    supervisor = Supervisor(library, settings, folder)
    endpoint = await supervisor.acquire("m")
    try:
        for turn in range(2):
            prompts = [f"{turn} {slot}" + " x" * (shape.context * 2 // 5) for slot in range(shape.slots)]
            bodies = [{"messages": [{"role": "user", "content": prompt}], "max_tokens": 4} for prompt in prompts]
            answers = await asyncio.gather(*(ask(endpoint, CHAT, body) for body in bodies))
            assert all(status == 200 for status, _ in answers)
            assert min(answer["usage"]["prompt_tokens"] for _, answer in answers) > shape.context * 3 // 4
        status = next(status for status in await supervisor.status() if status.model == "m")
    finally:
        await supervisor.close()
    return status.estimate_bytes, status.rss_bytes


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Shape(), id="tiny"),
        pytest.param(Shape(extra_tokens=30_000), id="vocabulary"),
        pytest.param(Shape(width=256, layers=6, feed_forward=1024), id="keys-and-values", marks=pytest.mark.slow),
        pytest.param(
            Shape(width=512, layers=8, feed_forward=2048, slots=2, quantization="Q8_0"),
            id="weights",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_estimate_covers_what_the_engine_takes_and_not_much_more(tmp_path: Path, shape: Shape) -> None:
    estimate, resident = asyncio.run(measured(tmp_path, shape))
    assert resident <= estimate
    assert estimate <= 2 * resident + 64 * 1024 * 1024


OTHER: dict[str, Any] = {
    "architecture": "llama",
    "file_bytes": 10**9,
    "tensor_bytes": 10**9,
    "layers": 10,
    "heads": 8,
    "kv_heads": (2,),
}


@pytest.mark.parametrize("engine", [TRANSFORMERS, ONNX])
def test_engines_that_answer_one_at_a_time_hold_one_context(engine: str) -> None:
    """Measured with 100 million parameters and 4,000 tokens: 783 MB (Transformers) and 517 MB (ONNX Runtime)."""
    header = Header(engine=engine, key_length=64, value_length=64, number_bytes=4, vocabulary=32_000, **OTHER)
    few, many = (plan(header, Engine(context=4096, slots=slots)) for slots in (1, 8))
    assert few.estimate == many.estimate
    assert many.slots == 8, "so many may wait"
    assert few.estimate.kv == 2 * 10 * 2 * 128 * 4 * 2048  # the context is unknown, so it is taken to be 2048
    assert few.estimate.prompt_cache == few.estimate.checkpoints == 0
    assert few.data_limit > few.estimate.total
    halves = msgspec.structs.replace(header, repacked_bytes=10**9)
    assert plan(halves, Engine()).estimate.weights == 2 * 10**9


def test_an_encoder_of_transformers_keeps_nothing() -> None:
    header = Header(engine=TRANSFORMERS, key_length=64, value_length=64, embedding=True, **OTHER)
    assert plan(header, Engine()).estimate.kv == 0
