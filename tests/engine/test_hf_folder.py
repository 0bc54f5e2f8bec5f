from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from tests.engine.folder_models import WEIGHTS, hf, safetensors

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.hf_folder import read_folder


def test_what_it_says(tmp_path: Path) -> None:
    found = read_folder(hf(tmp_path))
    header = found.header
    assert (header.engine, header.architecture, header.quantization) == ("transformers", "llama", "F32")
    assert (header.tensor_bytes, header.parameters, header.layers, header.context_length) == (32, 10, 2, 256)
    assert (header.heads, header.kv_heads, header.key_length, header.vocabulary) == (2, (1,), 4, 4)
    assert not header.embedding
    assert header.has_chat_template
    assert set(found.files) == {"config.json", "tokenizer.json", "model.safetensors", "tokenizer_config.json"}
    assert header.file_bytes == sum((tmp_path / name).stat().st_size for name in found.files)


def test_only_data_is_taken(tmp_path: Path) -> None:
    """What lies beside the weights and could run is no part of the model."""
    hf(tmp_path)
    for name in ("modeling_llama.py", "pytorch_model.bin", "training_args.bin", "tokenizer.pkl", "model.pt"):
        (tmp_path / name).write_bytes(pickle.dumps({}))
    assert not [name for name in read_folder(tmp_path).files if name.endswith((".py", ".bin", ".pkl", ".pt"))]


def test_weights_in_parts(tmp_path: Path) -> None:
    hf(tmp_path, weights=None)
    (tmp_path / "one.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "two.safetensors").write_bytes(safetensors({"c": ("F16", [3], 6)}))
    index = tmp_path / "model.safetensors.index.json"
    parts = {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}
    index.write_text(json.dumps({"weight_map": parts}))
    found = read_folder(tmp_path)
    assert (found.header.parts, found.header.tensors, found.header.tensor_bytes) == (2, 3, 38)
    assert {"one.safetensors", "two.safetensors", index.name} <= set(found.files)
    for wrong in (
        {"a": "../x.safetensors"},
        {"a": "code.py"},
        {},
        {"a": "three.safetensors"},
        parts | {"d": parts["a"]},
    ):
        index.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(ModelFileError):
            read_folder(tmp_path)


def test_an_encoder_embeds(tmp_path: Path) -> None:
    hf(tmp_path, template="", architectures=["BertModel"], model_type="bert")
    assert read_folder(tmp_path).header.embedding
    assert read_folder(tmp_path).header.pooling == "mean"
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    found = read_folder(tmp_path)
    assert found.header.pooling == "cls"
    assert "1_Pooling/config.json" in found.files


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"auto_map": {"AutoModelForCausalLM": "modeling.Model"}}, "model_brings_code"),
    ({"architectures": ["LlavaForConditionalGeneration"]}, "model_unsupported"),
    ({"architectures": None}, "model_unsupported"),
    ({"model_type": None}, "model_unsupported"),
    ({"is_encoder_decoder": True}, "model_unsupported"),
    ({"quantization_config": {"quant_method": "bitsandbytes"}}, "model_unsupported"),
    ({"template": ""}, "model_incomplete"),
    ({"weights": WEIGHTS[:-1]}, "safetensors_truncated"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_refusals(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        read_folder(hf(tmp_path, **changes))
    assert caught.value.code == code
    assert str(tmp_path) in caught.value.message


def test_code_in_the_tokenizer_is_code_too(tmp_path: Path) -> None:
    (hf(tmp_path) / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": "x.X"}, "chat_template": "x"}')
    with pytest.raises(ModelFileError, match="Python code of its own"):
        read_folder(tmp_path)


def test_pickled_weights_are_refused_by_name(tmp_path: Path) -> None:
    hf(tmp_path, weights=None)
    with pytest.raises(ModelFileError, match=r"has no model\.safetensors"):
        read_folder(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"weights in pytorch_model\.bin, a format that can run code"):
        read_folder(tmp_path)


def test_a_tokenizer_is_needed(tmp_path: Path) -> None:
    (hf(tmp_path) / "tokenizer.json").unlink()
    with pytest.raises(ModelFileError, match=r"no tokenizer\.json"):
        read_folder(tmp_path)
