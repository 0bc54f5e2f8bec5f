from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import gguf as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples
from tests.tiny_gguf import write_chat

from nearfar.engine.cursor import MAX_HEADER_BYTES, ModelFileError
from nearfar.engine.gguf import read_header
from nearfar.engine.header import Header

Entry = tuple[str, int, bytes]


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def string(key: str, value: str) -> Entry:
    return key, 8, text(value)


def number(key: str, value: int) -> Entry:
    return key, 10, struct.pack("<Q", value)


def strings(key: str, *values: str) -> Entry:
    return key, 9, struct.pack("<IQ", 8, len(values)) + b"".join(map(text, values))


def numbers(key: str, *values: int) -> Entry:
    return key, 9, struct.pack("<IQ", 4, len(values)) + b"".join(struct.pack("<I", value) for value in values)


def tensor(name: str, shape: list[int], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


LLAMA = string("general.architecture", "llama")


def build(
    *values: Entry, tensors: list[bytes] | None = None, data: int = 0, version: int = 3, align: int = 32
) -> bytes:
    table = tensors or []
    head = struct.pack("<4sIQQ", b"GGUF", version, len(table), len(values))
    head += b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in values)
    head += b"".join(table)
    return head + bytes(-len(head) % align + data if table else 0)


def read(tmp_path: Path, content: bytes) -> Header:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    return read_header(path)


def refuse(tmp_path: Path, content: bytes) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        read(tmp_path, content)
    return caught.value


# ---------------------------------------------------------------- what is read


def test_a_chat_model(tiny_gguf: Path) -> None:
    header = read_header(tiny_gguf)
    assert (header.architecture, header.name, header.kind, header.version) == ("qwen2", "tiny random", "model", 3)
    assert (header.context_length, header.layers, header.embedding_length, header.feed_forward) == (2048, 2, 64, 128)
    assert (header.heads, header.kv_heads, header.key_length, header.value_length) == (4, (2,), 16, 16)
    assert (header.vocabulary, header.tokenizer, header.quantization) == (265, "gpt2", "F16")
    assert header.has_chat_template
    assert not header.embedding
    assert (header.sliding_window, header.pooling, header.parts) == (0, "", 1)
    assert header.file_bytes == tiny_gguf.stat().st_size


def test_an_embedding_model(tiny_embedding_gguf: Path) -> None:
    header = read_header(tiny_embedding_gguf)
    assert (header.architecture, header.pooling, header.embedding) == ("bert", "mean", True)
    assert not header.has_chat_template
    assert header.context_length == 128


@pytest.mark.parametrize("quantization", ["F16", "Q8_0", "Q4_0"])
def test_sizes_agree_with_the_reference_reader(tmp_path: Path, quantization: str) -> None:
    path = write_chat(tmp_path / "m.gguf", width=128, quantization=quantization)
    header = read_header(path)
    theirs: Any = reference.GGUFReader(path)
    assert header.tensors == len(theirs.tensors)
    assert header.tensor_bytes == sum(int(tensor.n_bytes) for tensor in theirs.tensors)
    assert header.parameters == sum(int(tensor.n_elements) for tensor in theirs.tensors)
    assert header.quantization == quantization
    matrices = sum(int(tensor.n_bytes) for tensor in theirs.tensors if tensor.tensor_type.name == quantization)
    assert header.repacked_bytes == (0 if quantization == "F16" else matrices)


def test_heads_per_layer_windows_and_experts(tmp_path: Path) -> None:
    header = read(
        tmp_path,
        build(
            LLAMA,
            number("llama.block_count", 3),
            number("llama.embedding_length", 64),
            numbers("llama.attention.head_count", 8, 8, 8),
            numbers("llama.attention.head_count_kv", 2, 0, 4),
            number("llama.attention.key_length", 32),
            number("llama.attention.sliding_window", 512),
            number("llama.feed_forward_length", 10),
            number("llama.expert_count", 64),
            number("llama.expert_used_count", 4),
            number("llama.expert_feed_forward_length", 100),
            number("other.block_count", 99),
            strings("tokenizer.ggml.tokens", "a", "b", "c"),
            version=2,
        ),
    )
    assert (header.layers, header.heads, header.kv_heads) == (3, 8, (2, 0, 4))
    assert (header.key_length, header.value_length) == (32, 8)
    assert (header.experts, header.experts_used, header.expert_feed_forward) == (64, 4, 100)
    assert (header.sliding_window, header.feed_forward, header.vocabulary, header.version) == (512, 400, 3, 2)


def test_the_architecture_may_come_last_and_a_long_name_is_dropped(tmp_path: Path) -> None:
    header = read(
        tmp_path,
        build(
            number("llama.block_count", 3), string("general.name", "n" * 5000), string("general.type", "model"), LLAMA
        ),
    )
    assert (header.layers, header.name) == (3, "")


def test_an_empty_template_is_none(tmp_path: Path) -> None:
    assert not read(tmp_path, build(LLAMA, string("tokenizer.chat_template", ""))).has_chat_template
    assert read(tmp_path, build(LLAMA, string("tokenizer.chat_template", "x"))).has_chat_template


def test_an_unknown_tensor_type_is_left_to_the_engine(tmp_path: Path) -> None:
    tensors = [tensor("a", [32], 0, 0), tensor("b", [32], 99, 128)]
    header = read(tmp_path, build(LLAMA, tensors=tensors, data=256))
    assert (header.tensors, header.tensor_bytes, header.parameters, header.quantization) == (2, 128, 64, "F32")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGML" + bytes(40), b"junk" * 1000, b"\x80\x04pickle" + bytes(99)])
def test_not_a_gguf_file(tmp_path: Path, content: bytes) -> None:
    error = refuse(tmp_path, content)
    assert error.code == "not_gguf"
    assert "is not a GGUF file" in error.text
    assert error.moves_on


@pytest.mark.parametrize(("version", "says"), [(1, "version 1"), (4, "version 4"), (0x03000000, "big-endian GGUF 3")])
def test_versions(tmp_path: Path, version: int, says: str) -> None:
    error = refuse(tmp_path, build(LLAMA, version=version))
    assert error.code == "gguf_version"
    assert says in error.message


def test_a_truncated_file_says_how_much_is_missing(tmp_path: Path, tiny_gguf: Path) -> None:
    whole = tiny_gguf.read_bytes()
    error = refuse(tmp_path, whole[:-1000])
    assert error.code == "gguf_truncated"
    assert f"the file has {len(whole) - 1000}" in error.message
    said = int(error.message.split("says ")[1].split(" ")[0])
    assert len(whole) - 32 < said <= len(whole)  # the padding of the last tensor is not missed


@pytest.mark.parametrize("keep", [24, 25, 100, 1000, 5000])
def test_a_truncated_header(tmp_path: Path, tiny_gguf: Path, keep: int) -> None:
    assert refuse(tmp_path, tiny_gguf.read_bytes()[:keep]).code == "gguf_truncated"


HUGE = 2**63


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, HUGE), "gguf_truncated"),
        (struct.pack("<4sIQQ", b"GGUF", 3, HUGE, 0), "gguf_truncated"),
        (build(("general.name", 8, struct.pack("<Q", HUGE))), "gguf_truncated"),
        (build(("tokens", 9, struct.pack("<IQ", 8, HUGE))), "gguf_truncated"),
        (build(("tokens", 9, struct.pack("<IQ", 0, HUGE))), "gguf_truncated"),
        (build(("tokens", 9, struct.pack("<IQQ", 8, 1, HUGE))), "gguf_truncated"),
        (build(("tokens", 9, struct.pack("<IQ", 9, 1) + bytes(40))), "gguf_malformed"),
        (build(("x", 13, bytes(20))), "gguf_malformed"),
        (build(), "gguf_malformed"),
        (build(string("general.architecture", "")), "gguf_malformed"),
        (build(number("general.architecture", 1)), "gguf_malformed"),
        (build(LLAMA, LLAMA), "gguf_malformed"),
        (build(LLAMA, string("llama.block_count", "3")), "gguf_malformed"),
        (build(LLAMA, strings("llama.block_count", "3")), "gguf_malformed"),
        (build(LLAMA, ("llama.block_count", 5, struct.pack("<i", -3))), "gguf_malformed"),
        (build(LLAMA, number("llama.block_count", 2**31 + 1)), "gguf_malformed"),
        (build(LLAMA, ("llama.block_count", 6, struct.pack("<f", 3.5))), "gguf_malformed"),
        (build(LLAMA, numbers("llama.attention.head_count_kv", *[1] * 2000)), "gguf_malformed"),
        (build(LLAMA, *(number(f"a{i}.block_count", 1) for i in range(100))), "gguf_malformed"),
        (build(LLAMA, number("general.alignment", 0)), "gguf_malformed"),
        (build(LLAMA, number("general.alignment", 24)), "gguf_malformed"),
        (build(LLAMA, number("general.alignment", 2**40)), "gguf_malformed"),
        (build(LLAMA, tensors=[tensor("a", [1, 1, 1, 1, 1], 0, 0)], data=64), "gguf_malformed"),
        (build(LLAMA, tensors=[tensor("a", [33], 2, 0)], data=64), "gguf_malformed"),
        (build(LLAMA, tensors=[tensor("a", [HUGE, HUGE], 99, 0)], data=64), "gguf_malformed"),
        (build(LLAMA, tensors=[tensor("a", [HUGE, HUGE], 0, 0)], data=64), "gguf_truncated"),
        (build(LLAMA, tensors=[tensor("a", [16], 0, HUGE)], data=64), "gguf_truncated"),
        (build(LLAMA, tensors=[tensor("a", [16], 0, 0), tensor("b", [16], 0, 0)], data=64), "gguf_malformed"),
    ],
)
def test_lies(tmp_path: Path, content: bytes, code: str) -> None:
    assert refuse(tmp_path, content).code == code


def test_a_header_without_end_is_refused_before_it_is_walked(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    path.write_bytes(build(("tokens", 9, struct.pack("<IQ", 0, 2 * MAX_HEADER_BYTES))))
    os.truncate(path, 4 * MAX_HEADER_BYTES)
    with pytest.raises(ModelFileError, match="header is longer than"):
        read_header(path)


def test_what_is_not_a_readable_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (tmp_path, pipe, loop, tmp_path / "missing", Path("nul\0l"), Path("/dev/zero")):
        with pytest.raises(ModelFileError) as caught:
            read_header(path)
        assert caught.value.code == "model_file_unreadable"


# ---------------------------------------------------------------- whatever comes


def survives(path: Path, content: bytes) -> None:
    """Reading gives a header or the typed error, and takes less memory than the file plus one window."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        read_header(path)
    except ModelFileError as error:
        assert error.text  # noqa: PT017 (both outcomes are right)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak <= len(content) + 600_000


EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9) | st.just(b"\xff" * 8)), max_size=6
)


@examples(150)
@given(edits=EDITS, keep=st.floats(0, 1), header_only=st.booleans())
def test_random_damage(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_gguf: Path,
    edits: list[tuple[float, bytes]],
    keep: float,
    header_only: bool,
) -> None:
    content = bytearray(tiny_gguf.read_bytes())
    reach = len(content) - read_header(tiny_gguf).tensor_bytes if header_only else len(content)
    for place, new in edits:
        at = int(place * reach)
        content[at : at + len(new)] = new
    survives(
        tmp_path_factory.getbasetemp() / "damaged.gguf",
        bytes(content[: int(keep * len(content))] if keep < 0.5 else content),
    )


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["general.architecture", "general.alignment", "a.block_count", "tokenizer.ggml.tokens", "x", ""]
        ),
        st.integers(0, 14),
        st.binary(max_size=24) | st.integers(0, 2**64 - 1).map(lambda n: struct.pack("<IQ", n % 14, n)),
    ),
    max_size=5,
)


@examples(150)
@given(entries=ENTRIES, tensors=st.lists(st.binary(min_size=20, max_size=60), max_size=3), data=st.integers(0, 100))
def test_random_structure(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], tensors: list[bytes], data: int
) -> None:
    survives(tmp_path_factory.getbasetemp() / "made.gguf", build(LLAMA, *entries, tensors=tensors, data=data))
