"""Writes a trained model as one GGUF file, matrices in q8_0. Knows the file format, not how the model was trained.

``python export.py FOLDER OUT.gguf`` reads what train.py wrote and prints the size and the SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import gguf
import torch
from chat import END, END_OF_TEXT, SPECIAL_TOKENS, START, TEMPLATE_FILE
from model import Shape

DESCRIPTION = (
    "A demonstration model with about two and a half million parameters, trained from nothing on text that a program "
    "wrote. It shows that nearfar works without a network. It is not an assistant."
)
Q8 = gguf.GGMLQuantizationType.Q8_0


def template() -> str:
    """The chat template on one line: line ends and indents in the file only help its readers."""
    return "".join(line.strip() for line in TEMPLATE_FILE.read_text(encoding="utf-8").splitlines())


def export(folder: Path, out: Path) -> None:
    """Write ``out`` from ``folder``'s tokenizer.json and model.pt."""
    state = torch.load(folder / "model.pt", weights_only=True)
    shape = Shape(**state["shape"])
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    writer = gguf.GGUFWriter(out, "qwen2")
    _describe(writer, state)
    _shape(writer, shape)
    _tokenizer(writer, tokenizer)
    for name, weight in state["weights"].items():
        array = weight.float().numpy()
        if array.ndim == 2:
            # quantised tensors carry their own shape
            writer.add_tensor(name, gguf.quants.quantize(array, Q8), raw_dtype=Q8)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, state: dict[str, Any]) -> None:
    writer.add_name("demo-tiny")
    writer.add_description(DESCRIPTION)
    writer.add_license("apache-2.0")
    writer.add_organization("nearfar")
    writer.add_version("1")
    writer.add_languages(["en", "zh"])
    writer.add_tags(["demo", "text-generation"])
    # What the engine uses where the client says nothing: the likeliest token. A model this small has nothing to gain.
    writer.add_sampling_temp(0.0)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_uint32("nearfar.training.seed", state["seed"])
    writer.add_uint32("nearfar.training.steps", state["steps"])
    writer.add_uint64("nearfar.training.tokens", state["tokens"])


def _shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)


def _tokenizer(writer: gguf.GGUFWriter, model: dict[str, Any]) -> None:
    vocabulary: dict[str, int] = model["vocab"]
    control = {END_OF_TEXT, START, END}
    kinds = {
        token: gguf.TokenType.CONTROL if token in control else gguf.TokenType.USER_DEFINED for token in SPECIAL_TOKENS
    }
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, gguf.TokenType.NORMAL) for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(vocabulary[END_OF_TEXT])
    writer.add_eos_token_id(vocabulary[END])
    writer.add_pad_token_id(vocabulary[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_chat_template(template())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="what train.py wrote")
    parser.add_argument("out", type=Path, help="the GGUF file to write")
    arguments = parser.parse_args()
    export(arguments.folder, arguments.out)
    data = arguments.out.read_bytes()
    print(f"{arguments.out}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
