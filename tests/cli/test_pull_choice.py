"""Which of a repository's models is fetched, and why."""

from __future__ import annotations

import msgspec
import pytest

from nearfar.cli.pull_choice import Room, choose
from nearfar.core.errors import BadRequestError, EngineError, NotFoundError
from nearfar.engine.header import Header
from nearfar.engine.hub import Looked, Remote
from nearfar.engine.hub_choices import Choice, RemoteFile
from nearfar.engine.machine import Memory
from nearfar.settings.model import Engine

GB = 1_000_000_000
EIGHT = Header(
    architecture="llama",
    file_bytes=0,
    tensor_bytes=0,
    layers=32,
    embedding_length=4096,
    feed_forward=14336,
    heads=32,
    kv_heads=(8,),
    key_length=128,
    value_length=128,
    vocabulary=128_256,
    context_length=131_072,
)
"""The sizes of an 8 B model; its cache takes 128 KiB a token."""
TYPES = {"Q4_K_M": 4.9, "Q6_K": 6.6, "Q8_0": 8.5, "F16": 16.1}


def remote(**sizes: float) -> Remote:
    files = tuple(RemoteFile(name=f"m-{label}.gguf", size=int(size * GB)) for label, size in sizes.items())
    return Remote(repo="someone/M-GGUF", commit="c", files=files)


def look(choice: Choice) -> Looked:
    return Looked(header=msgspec.structs.replace(EIGHT, tensor_bytes=choice.bytes), files=choice.files)


def room(gigabytes: float, context: int = 8192, slots: int = 1) -> Room:
    engine = Engine(slots=slots, context=context)
    return Room(engine=engine, memory=Memory(int(gigabytes * GB / 0.7) + 1, int(gigabytes * GB)))


@pytest.mark.parametrize(("gigabytes", "label"), [(6.5, "Q4_K_M"), (9, "Q6_K"), (11, "Q8_0"), (64, "Q8_0")])
def test_the_finest_that_the_engine_admits_and_no_wide_type_beside_it(gigabytes: float, label: str) -> None:
    chosen = choose(remote(**TYPES), "", look, room(gigabytes))
    assert chosen.choice.label == label
    assert chosen.fits
    assert chosen.need <= gigabytes * GB


def test_a_longer_context_takes_a_coarser_type() -> None:
    short = choose(remote(**TYPES), "", look, room(11))
    long = choose(remote(**TYPES), "", look, room(11, context=32_768))
    assert (short.choice.label, long.choice.label) == ("Q8_0", "Q4_K_M")
    assert "32768 tokens of context" in long.why
    assert "Q8_0 would need" in long.why


def test_as_many_slots_as_the_engine_will_have() -> None:
    chosen = choose(remote(**TYPES), "", look, room(11, slots=4))
    assert chosen.choice.label == "Q4_K_M"
    assert "4 x 8192 tokens of context" in chosen.why


def test_a_wide_type_alone_is_taken() -> None:
    assert choose(remote(F16=16.1), "", look, room(64)).choice.label == "F16"


def test_the_arithmetic_is_in_the_line() -> None:
    why = choose(remote(**TYPES), "", look, room(9)).why
    assert why.startswith("Q6_K is the best of 4 types that fits: it needs ")
    assert "weights 6.6 GB, context 1.1 GB" in why, "131,072 B a token, 8192 of them"
    assert "of the 9.0 GB that local models may take (the machine's memory); Q8_0 would need" in why


def test_nothing_fits() -> None:
    with pytest.raises(EngineError) as caught:
        choose(remote(**TYPES), "", look, room(3))
    assert caught.value.code == "does_not_fit"
    assert "smallest, Q4_K_M" in caught.value.message
    assert "someone/M-GGUF:Q4_K_M fetches it all the same" in caught.value.hint


def test_what_was_asked_for_is_taken_and_its_not_fitting_said() -> None:
    for wanted in ("q8_0", "Q8_0", "m-Q8_0.gguf"):
        chosen = choose(remote(**TYPES), wanted, look, room(3))
        assert (chosen.choice.label, chosen.fits) == ("Q8_0", False)
        assert "MORE than" in chosen.why


def test_an_unknown_type_names_those_there_are() -> None:
    with pytest.raises(NotFoundError) as caught:
        choose(remote(**TYPES), "Q5_K_M", look, room(64))
    assert "F16, Q4_K_M, Q6_K, Q8_0" in caught.value.hint


def test_of_several_models_the_one_with_the_types_and_never_a_guess() -> None:
    named = [
        RemoteFile(name=name, size=size * GB)
        for name, size in (("a-Q4_0.gguf", 2), ("a-Q8_0.gguf", 4), ("draft-Q8_0.gguf", 1))
    ]
    several = Remote(repo="x/y", commit="c", files=tuple(named))
    assert choose(several, "", look, room(64)).choice.files[0].name == "a-Q8_0.gguf"
    for files, wanted in ((named[1:], ""), (named, "Q8_0")):
        with pytest.raises(BadRequestError) as caught:
            choose(Remote(repo="x/y", commit="c", files=tuple(files)), wanted, look, room(64))
        assert caught.value.code == "ambiguous"
        assert "draft-Q8_0.gguf" in caught.value.hint


def test_gguf_before_safetensors_before_onnx_and_for_the_cpu() -> None:
    folder = [RemoteFile(name=name, size=GB) for name in ("config.json", "model.safetensors")]
    onnx = [RemoteFile(name=f"{kind}/genai_config.json", size=9) for kind in ("cuda", "cpu-int4")]
    gguf = [RemoteFile(name="m-Q8_0.gguf", size=GB)]
    for files, kind in ((gguf + folder + onnx, "gguf"), (folder + onnx, "safetensors"), (onnx, "onnx")):
        chosen = choose(Remote(repo="x/y", commit="c", files=tuple(files)), "", look, room(64))
        assert chosen.choice.kind == kind
    assert chosen.choice.label == "CPU-INT4"
    everything = Remote(repo="x/y", commit="c", files=tuple(gguf + folder + onnx))
    assert choose(everything, "safetensors", look, room(64)).choice.kind == "safetensors"
    assert choose(everything, "cuda", look, room(64)).choice.label == "CUDA"


def test_a_graph_that_tells_nothing_yet() -> None:
    onnx = Remote(repo="x/y", commit="c", files=(RemoteFile(name="genai_config.json", size=9),))
    chosen = choose(onnx, "", lambda choice: Looked(header=None, files=choice.files), room(1))
    assert (chosen.need, chosen.fits) == (0, True)
    assert "only the whole file tells" in chosen.why


def test_parts_that_are_missing() -> None:
    broken = Remote(repo="x/y", commit="c", files=(RemoteFile(name="m-Q8_0-00001-of-00002.gguf", size=9),))
    for wanted in ("", "Q8_0"):
        with pytest.raises(EngineError) as caught:
            choose(broken, wanted, look, room(64))
        assert "m-Q8_0-00002-of-00002.gguf" in caught.value.message
