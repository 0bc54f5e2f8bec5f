"""The tokenizer: byte-level BPE learnt from the corpus alone, with merges that make copying easy.

Spaces are learnt as tokens of their own, so that ``Oslo`` after a space in a question and ``Oslo`` after a quote in
JSON are the same tokens. Only then the most frequent words of the answers get a token that includes their space.
Digits are single tokens. The text is split as llama.cpp splits it for ``tokenizer.ggml.pre = qwen2``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from chat import SPECIAL_TOKENS, Dialogue, spans
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 1536
SPACED_WORDS = 288
SPACE = "Ġ"  # how byte-level BPE writes the space byte

# The split of the Qwen2 family, as published with its tokenizer: digits alone, letters together.
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LEARNING_SPLIT = r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\s"


def learn(dialogues: Iterable[Dialogue]) -> Tokenizer:
    """A tokenizer of VOCABULARY tokens, special ones first."""
    shown: list[str] = []
    spaced: Counter[str] = Counter()
    for dialogue in dialogues:
        for text, learnt in spans(dialogue):
            shown.append(re.sub(r"<[|/]?\w+[|]?>", " ", text))
            if learnt:
                spaced.update(re.findall(r" ([a-z]{1,12}|\")", text))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _splitter(LEARNING_SPLIT)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - SPACED_WORDS,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(shown, trainer)
    return _with_spaced_words(tokenizer, [word for word, _ in spaced.most_common()])


def _with_spaced_words(tokenizer: Tokenizer, words: Iterable[str]) -> Tokenizer:
    state = json.loads(tokenizer.to_str())
    vocabulary, merges = state["model"]["vocab"], state["model"]["merges"]
    for word in words:
        if len(vocabulary) == VOCABULARY:
            break
        if word in vocabulary and SPACE + word not in vocabulary:
            vocabulary[SPACE + word] = len(vocabulary)
            merges.append([SPACE, word])
    whole = Tokenizer.from_str(json.dumps(state))
    whole.pre_tokenizer = _splitter(QWEN2_SPLIT)
    whole.decoder = decoders.ByteLevel()
    return whole


def _splitter(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
