"""What a repository offers, by names alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.engine.hub_choices import Choice, RemoteFile, choices, safe_name


def offered(*names: str, repo: str = "someone/Model") -> tuple[Choice, ...]:
    return choices(repo, tuple(RemoteFile(name=name, size=10) for name in names))


def test_gguf_files_by_type() -> None:
    found = offered("m-Q4_K_M.gguf", "m-Q8_0.gguf", "m-f16.gguf", "mmproj-m-f16.gguf", "README.md", "plain.gguf")
    assert [(each.label, each.stem) for each in found] == [
        ("Q4_K_M", "m"),
        ("Q8_0", "m"),
        ("F16", "m"),
        ("PLAIN", "plain"),
    ]


def test_parts_are_one_model_in_their_order() -> None:
    names = [f"Q4_K_M/big-Q4_K_M-0000{number}-of-00003.gguf" for number in (2, 3, 1)]
    (choice,) = offered(*names)
    assert [file.name for file in choice.files] == sorted(names)
    assert (choice.label, choice.bytes, choice.lacking) == ("Q4_K_M", 30, ())
    assert choice.name == "Q4_K_M/big-Q4_K_M-00001-of-00003.gguf and 2 more"


def test_missing_parts_are_named() -> None:
    (choice,) = offered("m-Q8_0-00002-of-00003.gguf")
    assert choice.lacking == ("m-Q8_0-00001-of-00003.gguf", "m-Q8_0-00003-of-00003.gguf")


@pytest.mark.parametrize("name", ["m-Q8_0-00004-of-00003.gguf", "m-Q8_0-00000-of-00001.gguf", "m-00001-of-99999.gguf"])
def test_impossible_numbers_lack_something(name: str) -> None:
    (choice,) = offered(name)
    assert choice.lacking


def test_the_same_prefix_in_other_numbers_is_another_model() -> None:
    found = offered("m-00001-of-00001.gguf", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf")
    assert [len(each.files) for each in found] == [1, 2]


def test_a_folder_of_safetensors_takes_nothing_that_runs() -> None:
    names = (
        "config.json",
        "tokenizer.json",
        "model.safetensors.index.json",
        "model-00001-of-00001.safetensors",
        "modeling_x.py",
        "pytorch_model.bin",
        "model.pt",
        "onnx/model.onnx",
        "1_Pooling/config.json",
        "unet/model.safetensors",
        "README.md",
    )
    (choice,) = offered(*names)
    assert choice.kind == "safetensors"
    assert {file.place for file in choice.files} == {*names[:4], "1_Pooling/config.json"}


def test_safetensors_alone_are_no_model() -> None:
    assert offered("model.safetensors") == ()
    assert offered("config.json", "lora.safetensors") == ()
    assert offered("config.json", "pytorch_model.bin") == ()


def test_onnx_folders() -> None:
    found = offered(
        "cpu-int4/genai_config.json",
        "cpu-int4/model.onnx",
        "cpu-int4/model.onnx.data",
        "cpu-int4/run.py",
        "cuda/genai_config.json",
        "cuda/model.onnx",
    )
    assert [(each.kind, each.label, each.stem, len(each.files)) for each in found] == [
        ("onnx", "CPU-INT4", "Model-onnx", 3),
        ("onnx", "CUDA", "Model-onnx", 2),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("../x.gguf", "/etc/x.gguf", "a/../x.gguf", "a//x.gguf", "./x.gguf", "a\\x.gguf", "c:x.gguf"),
        *("\x1b[2J.gguf", "\u202efugg.gguf", "x\n.gguf", "a" * 256 + ".gguf", "b/" * 600 + "x.gguf"),
    ],
)
def test_names_that_lead_elsewhere_are_no_offer(name: str) -> None:
    assert not safe_name(name)
    assert offered(name) == ()


@given(st.text(max_size=40))
def test_a_safe_name_stays_where_it_is_put(name: str) -> None:
    if safe_name(name):
        assert ".." not in name.split("/")
        assert not name.startswith("/")
        assert "\0" not in name


@given(st.lists(st.text(alphabet="aq8_0-.gufjsonflrtei/12345", max_size=30), max_size=12))
def test_no_list_of_names_is_too_strange(names: list[str]) -> None:
    for choice in offered(*names):
        assert choice.files
        assert all(file.name in names for file in choice.files)
