"""Write tiny GGUF models with random weights, so that tests meet the real engine without any download.

It knows nothing of nearfar. The chat model speaks random lower-case letters: hidden dimension 0 is a constant that no
layer writes to, so the first column of ``output.weight`` acts as a bias per token. Bytes that could form broken
UTF-8 are thereby improbable (not impossible under a grammar), and ``eos_bias`` decides how soon an answer ends.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

EOS = 2
TOOL_CALL = 3
"""Token id of ``<tool_call>``; ``logit_bias={"3": 100}`` and ``tool_choice="required"`` make the model call a tool."""
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
_MERGED = ["Ġt", "Ġa", "he", "in"]
_MERGES = ["Ġ t", "Ġ a", "h e", "i n"]
_CONSTANT = 8.0
_UNWANTED = -4.0

TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n# Tools\n<tools>"
    "{%- for tool in tools %}\n{{ tool | tojson }}{%- endfor %}\n</tools>\n"
    'Answer with <tool_call>{"name": <function-name>, "arguments": <args-json-object>}</tool_call><|im_end|>\n'
    "{%- endif %}"
    "{%- for m in messages %}"
    "{%- if m.role == 'tool' %}{{ '<|im_start|>user\n<tool_response>' + m.content + '</tool_response><|im_end|>\n' }}"
    "{%- else %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{%- if m.content %}{{ m.content }}{%- endif %}"
    "{%- if m.tool_calls %}{%- for tc in m.tool_calls %}"
    '{{ \'<tool_call>{"name": "\' + tc.function.name + \'", "arguments": \' + (tc.function.arguments | tojson)'
    " + '}</tool_call>' }}{%- endfor %}{%- endif %}"
    "{{ '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"
)

Floats = npt.NDArray[np.float32]


def _byte_tokens() -> list[str]:
    """GPT-2's 256 printable stand-ins for bytes, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_in = dict(zip(printable, printable, strict=True))
    for byte in range(256):
        if byte not in stand_in:
            stand_in[byte] = 256 + len(stand_in) - len(printable)
    return [chr(stand_in[byte]) for byte in range(256)]


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_chat(
    path: Path,
    *,
    name: str = "tiny random",
    context: int = 2048,
    width: int = 64,
    layers: int = 2,
    feed_forward: int = 128,
    extra_tokens: int = 0,
    eos_bias: float = 0.0,
    quantization: str = "F16",
    seed: int = 0,
    tensors_per_part: int = 0,
) -> Path:
    """A qwen2 chat model (ChatML, tools) of about 0.2 MB; ``width`` is a multiple of 32, a quarter per head.

    With ``tensors_per_part`` it is split over files beside ``path``, the first of which is returned.
    """
    rng = np.random.default_rng(seed)
    tokens = [*_SPECIAL, *_byte_tokens(), *_MERGED, *(f"unused{i}" for i in range(extra_tokens))]
    heads, kv_heads = 4, 2
    head = width // heads
    writer: Any = gguf.GGUFWriter(str(path), "qwen2", split_max_tensors=tensors_per_part)
    writer.add_name(name)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType["MOSTLY_" + quantization])
    kinds = gguf.TokenType
    plain = len(tokens) - len(_SPECIAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.CONTROL] * 3 + [kinds.USER_DEFINED] * 2 + [kinds.NORMAL] * plain)
    writer.add_token_merges(_MERGES)
    writer.add_bos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)

    def matrix(label: str, values: Floats) -> None:
        kind = gguf.GGMLQuantizationType[quantization]
        if kind == gguf.GGMLQuantizationType.F16:
            writer.add_tensor(label, values.astype(np.float16))
        else:
            writer.add_tensor(label, gguf.quants.quantize(values, kind), raw_dtype=kind)

    def random(rows: int, columns: int, spread: float) -> Floats:
        return rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(spread)

    embedding = random(len(tokens), width, 1.0)
    embedding[:, 0] = _CONSTANT
    matrix("token_embd.weight", embedding)
    output = random(len(tokens), width, 0.3)
    output[:, 0] = _UNWANTED
    output[[tokens.index(letter) for letter in (*string.ascii_lowercase, "Ġ", *_MERGED)], 0] = 0.0
    output[EOS, 0] = eos_bias
    matrix("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    for layer in range(layers):
        block = f"blk.{layer}."
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}{norm}.weight", np.ones(width, np.float32))
        for part, rows in (("q", width), ("k", kv_heads * head), ("v", kv_heads * head)):
            matrix(f"{block}attn_{part}.weight", random(rows, width, 0.1))
            writer.add_tensor(f"{block}attn_{part}.bias", np.zeros(rows, np.float32))
        for part, rows, columns in (
            ("ffn_gate", feed_forward, width),
            ("ffn_up", feed_forward, width),
            ("attn_output", width, width),
            ("ffn_down", width, feed_forward),
        ):
            values = random(rows, columns, 0.1)
            if rows == width:
                values[0] = 0.0  # nobody writes to the constant dimension
            matrix(f"{block}{part}.weight", values)
    _finish(writer)
    return path


def write_embedding(
    path: Path, *, name: str = "tiny embedding", context: int = 128, width: int = 32, layers: int = 2, seed: int = 0
) -> Path:
    """A bert embedding model (mean pooling, ``width`` dimensions) that knows letters, digits and full stops."""
    rng = np.random.default_rng(seed)
    letters = [*string.ascii_lowercase, *string.digits, "."]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"▁{letter}" for letter in letters), *letters]
    kinds = gguf.TokenType
    writer: Any = gguf.GGUFWriter(str(path), "bert")
    writer.add_name(name)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.CONTROL, kinds.UNKNOWN] + [kinds.CONTROL] * 3 + [kinds.NORMAL] * (len(tokens) - 5))
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)

    def table(label: str, rows: int, columns: int, kind: type[np.float16 | np.float32]) -> None:
        writer.add_tensor(label, (rng.standard_normal((rows, columns)) * 0.3).astype(kind))

    def norm(label: str) -> None:
        writer.add_tensor(f"{label}.weight", np.ones(width, np.float32))
        writer.add_tensor(f"{label}.bias", np.zeros(width, np.float32))

    table("token_embd.weight", len(tokens), width, np.float16)
    table("position_embd.weight", context, width, np.float32)
    table("token_types.weight", 2, width, np.float32)
    norm("token_embd_norm")
    for layer in range(layers):
        block = f"blk.{layer}."
        for part, rows, columns in (
            ("attn_q", width, width),
            ("attn_k", width, width),
            ("attn_v", width, width),
            ("attn_output", width, width),
            ("ffn_up", 2 * width, width),
            ("ffn_down", width, 2 * width),
        ):
            table(f"{block}{part}.weight", rows, columns, np.float16)
            writer.add_tensor(f"{block}{part}.bias", np.zeros(rows, np.float32))
        norm(f"{block}attn_output_norm")
        norm(f"{block}layer_output_norm")
    _finish(writer)
    return path
