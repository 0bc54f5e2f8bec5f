"""Writes tiny models whose answers are known: python make_models.py FOLDER → FOLDER/{chat,embed,onnx}. Needs the stage.

The chat model is a table in the shape of a Llama: attention and feed-forward add nothing, the embedding of a token is a
unit vector, and a row of the output layer says which token follows which. Its template puts the last character of the
last message at the end of the prompt, so that this character chooses the answer:

    1  text in Chinese whose characters are cut by the tokens, then the end
    2  lower-case letters by chance, without an end
    3  a call of a tool, then the end
    4  letters around a byte that no text contains, then the end
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

CJK = "你好，世界 "
NOISE = "abc\ufffdxyz"
CALL = '{"name": "look_up", "arguments": {"word": "貓"}}'
SPECIAL = ["<pad>", "<|im_start|>", "<|im_end|>"]
TOOL = ["<tool_call>", "</tool_call>"]
TEMPLATE = (
    "{%- if tools %}<tool_call>{{ tools | tojson }}</tool_call>{%- endif %}"
    "{%- for m in messages %}"
    "{%- if m.role == 'nobody' %}{{ raise_exception('nobody may not speak') }}{%- endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{%- endfor %}"
    "<|im_start|>assistant\n{{ messages[-1].content[-1:] }}"
)


def _bytes_to_letters() -> list[str]:
    """GPT-2's printable stand-ins for bytes, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_in = dict(zip(printable, printable, strict=True))
    for byte in range(256):
        if byte not in stand_in:
            stand_in[byte] = 256 + len(stand_in) - len(printable)
    return [chr(stand_in[byte]) for byte in range(256)]


LETTERS = _bytes_to_letters()


def spelled(data: bytes) -> str:
    """Bytes as a token of a byte-level vocabulary."""
    return "".join(LETTERS[byte] for byte in data)


def scripts() -> dict[str, list[str]]:
    """Character → the tokens that follow it; every token occurs in one place only."""
    text = CJK.encode()
    cuts = [0, 1, 4, 5, 8, 10, 13, len(text)]  # most of them in the middle of a character
    chinese = [spelled(text[a:b]) for a, b in itertools.pairwise(cuts)]
    noise = [spelled(b"abc"), spelled(b"\xff"), spelled(b"xyz")]
    return {
        "1": [*chinese, "<|im_end|>"],
        "3": ["<tool_call>", spelled(CALL.encode()), "</tool_call>", "<|im_end|>"],
        "4": [*noise, "<|im_end|>"],
    }


def vocabulary() -> dict[str, int]:
    """All tokens."""
    words = [*SPECIAL, *LETTERS]
    for script in scripts().values():
        words += [word for word in script if word not in words and word not in TOOL]
    return {word: number for number, word in enumerate([*words, *TOOL])}


def tokenizer() -> object:
    """Bytes and some longer tokens that no text is ever cut into, only decoded from."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = vocabulary()
    made = Tokenizer(models.BPE(vocab=words, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(SPECIAL)
    made.add_tokens([AddedToken(word, special=False, normalized=False) for word in TOOL])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<pad>")


def write_chat(folder: Path) -> None:
    """The table as a Llama."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = vocabulary()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=320,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=words["<|im_end|>"],
        pad_token_id=0,
    )
    assert len(words) <= 320
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.zero_()
        model.lm_head.weight.zero_()
        for number in words.values():
            model.model.embed_tokens.weight[number, number] = 1.0
        letters = [words[letter] for letter in "abcdefghijklmnopqrstuvwxyz"]
        for letter in [words["2"], *letters]:
            model.lm_head.weight[letters, letter] = 2.0
        for start, script in scripts().items():
            for now, then in zip([start, *script], script, strict=False):
                model.lm_head.weight[words[then], words[now]] = 2.0
    model.save_pretrained(folder)
    made = tokenizer()
    made.chat_template = TEMPLATE  # type: ignore[attr-defined]  # the stage's types are not known here
    made.save_pretrained(folder)  # type: ignore[attr-defined]  # as above


def write_embed(folder: Path) -> None:
    """A random BERT with the same tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).eval().save_pretrained(folder)
    tokenizer().save_pretrained(folder)  # type: ignore[attr-defined]  # as above


def main(folder: Path) -> None:
    """Write all of them."""
    write_chat(folder / "chat")
    write_embed(folder / "embed")
    builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", "chat", "-i", "chat", "-o", "onnx"]
    subprocess.run([*builder, "-p", "fp32", "-e", "cpu", "-c", "cache"], check=True, cwd=folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
