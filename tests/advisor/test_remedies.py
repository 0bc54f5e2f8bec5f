"""What would make it fit does make it fit."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.advisor.buffers import Run
from nearfar.advisor.constants import shipped as constants
from nearfar.advisor.fit import needed, room
from nearfar.advisor.remedies import best_quant, longest_context, remedies
from nearfar.advisor.rig import named
from nearfar.catalog.models import shipped


def kinds(model: str, hardware: str, run: Run) -> dict[str, str]:
    return {each.kind: each.flags for each in remedies(shipped()[model], named(hardware), run, constants())}


def test_a_cache_that_is_too_large() -> None:
    found = kinds("llama-3.1-8b", "RTX 3060", Run(context=65536))
    assert found["kv-type"] == "--kv-type q8_0"
    assert int(found["context"].split()[1]) < 65536
    assert found["gpus"] == "--gpus 2"


def test_weights_that_are_too_large() -> None:
    found = kinds("llama-3.3-70b", "RTX 4090", Run(context=8192))
    assert "offload" in found
    assert found["gpus"] == "--gpus 2"
    assert found["quant"] == "--quant IQ2_XXS"
    assert "gpus" not in kinds("llama-3.3-70b", "Apple M4 24GB", Run(context=8192))


def test_nothing_helps_what_is_far_too_large() -> None:
    assert set(kinds("deepseek-r1", "GTX 1050 Ti", Run(context=8192))) <= {"offload"}


@examples(40)
@given(
    name=st.sampled_from(sorted(shipped())),
    device=st.sampled_from(["RTX 4090", "Apple M4 Pro 24GB", "RTX 3060", "H100", "CPU"]),
    context=st.integers(4096, 131072),
)
def test_each_one_does(name: str, device: str, context: int) -> None:
    model, rig, run = shipped()[name], named(device), Run(context=context)
    longest = longest_context(model, rig, run)
    assert longest <= model.context
    if longest:
        assert needed(model, rig, msgspec.structs.replace(run, context=longest)) <= room(rig, run)
    quant = best_quant(model, rig, run)
    if quant:
        assert needed(model, rig, msgspec.structs.replace(run, quant=quant)) <= room(rig, run)
    for each in remedies(model, rig, run, constants()):
        assert each.flags.startswith("--")
        assert each.decode_tps > 0
