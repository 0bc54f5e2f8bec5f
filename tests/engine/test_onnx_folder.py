from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from tests.engine.folder_models import GENAI, genai

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.onnx_folder import read_folder


def changed(path: str, value: object) -> dict[str, Any]:
    config = copy.deepcopy(GENAI)
    at: Any = config
    *way, last = path.split(".")
    for name in way:
        at = at[name]
    at[last] = value
    return config


def test_what_it_says(tmp_path: Path) -> None:
    found = read_folder(genai(tmp_path))
    header = found.header
    assert (header.engine, header.architecture, header.layers, header.context_length) == ("onnx", "llama", 2, 256)
    assert header.tensor_bytes == (tmp_path / "model.onnx").stat().st_size + 16
    assert set(found.files) == {
        "genai_config.json",
        "tokenizer.json",
        "model.onnx",
        "model.onnx.data",
        "chat_template.jinja",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.decoder.session_options.custom_ops_library", "evil.so"),
        ("model.decoder.session_options.enable_profiling", "trace"),
        ("model.decoder.session_options.config_entries", {}),
        ("model.decoder.session_options.provider_options", [{"cuda": {}}]),
        ("model.decoder.session_options", [1]),
        ("model.decoder.run_options", {"x": "y"}),
        ("model.decoder.pipeline", []),
        ("model.vision", {"filename": "v.onnx"}),
        ("model.image_token_id", "x"),
        ("model.speech", {}),
        ("engine", {}),
        ("model.decoder.filename", "../model.onnx"),
        ("model.decoder.filename", "model.py"),
        ("model.decoder", None),
        ("model", []),
    ],
)
def test_members_that_could_run_or_reach_elsewhere_are_refused(tmp_path: Path, path: str, value: object) -> None:
    with pytest.raises(ModelFileError) as caught:
        read_folder(genai(tmp_path, changed(path, value)))
    assert caught.value.code in {"model_unsupported", "model_file_invalid"}


def test_a_folder_without_a_template_cannot_chat(tmp_path: Path) -> None:
    (genai(tmp_path) / "chat_template.jinja").unlink()
    with pytest.raises(ModelFileError, match="no chat template"):
        read_folder(tmp_path)


def test_short_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="truncated"):
        read_folder(genai(tmp_path, data=15))
