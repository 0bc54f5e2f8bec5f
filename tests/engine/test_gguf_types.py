from __future__ import annotations

from typing import Any

import gguf

from nearfar.engine import gguf_types


def test_tensor_types_agree_with_the_reference_package() -> None:
    theirs: dict[int, tuple[str, int, int]] = {
        int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()
    }
    # Q8_1 is never stored: it exists while the engine computes, and there with two 16-bit numbers per block.
    theirs[9] = ("Q8_1", 32, 36)
    ours = {kind: tuple(known) for kind, known in gguf_types.TENSOR_TYPES.items()}
    assert ours == theirs


def test_file_types_agree_with_the_reference_package() -> None:
    types: Any = gguf.LlamaFileType
    theirs = {kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in types if kind.value < 1024}
    theirs[38] = "MXFP4"
    assert theirs == gguf_types.FILE_TYPES


def test_repacked_types_exist() -> None:
    assert {known.name for known in gguf_types.TENSOR_TYPES.values()} >= gguf_types.REPACKED
