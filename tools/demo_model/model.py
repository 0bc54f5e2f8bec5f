"""The network in plain torch: the Qwen2 architecture, small. Knows neither text nor files.

Parameter names are those of the GGUF tensors (``blk.0.attn_q.weight``), so that export.py only quantises.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. ``context`` is what the file promises; training texts are shorter."""

    vocabulary: int
    width: int = 192
    layers: int = 5
    heads: int = 3
    kv_heads: int = 3
    hidden: int = 512
    context: int = 1024
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-6

    @property
    def head(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads


class Block(nn.Module):
    """Attention and a gated feed-forward network, each with a norm before and a residual around."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, kv_width = shape.width, shape.kv_heads * shape.head
        self.attn_norm = nn.RMSNorm(width, shape.norm_epsilon)
        self.attn_q = nn.Linear(width, width)
        self.attn_k = nn.Linear(width, kv_width)
        self.attn_v = nn.Linear(width, kv_width)
        self.attn_output = nn.Linear(width, width, bias=False)
        self.ffn_norm = nn.RMSNorm(width, shape.norm_epsilon)
        self.ffn_gate = nn.Linear(width, shape.hidden, bias=False)
        self.ffn_up = nn.Linear(width, shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """[batch, time, width] in and out."""
        batch, time, width = x.shape
        normed = self.attn_norm(x)
        heads = (batch, time, -1, self.shape.head)
        query = _rotate(self.attn_q(normed).view(heads).transpose(1, 2), cosine, sine)
        key = _rotate(self.attn_k(normed).view(heads).transpose(1, 2), cosine, sine)
        value = self.attn_v(normed).view(heads).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(batch, time, width))
        normed = self.ffn_norm(x)
        fed: Tensor = self.ffn_down(functional.silu(self.ffn_gate(normed)) * self.ffn_up(normed))
        return x + fed


class Network(nn.Module):
    """Token ids to the loss of the next tokens; the embedding is used at both ends."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, shape.norm_epsilon)
        steps = torch.arange(0, shape.head, 2) / shape.head
        angles = torch.outer(torch.arange(shape.context), shape.rope_base**-steps)
        self.register_buffer("cosine", torch.cat((angles, angles), 1).cos(), persistent=False)
        self.register_buffer("sine", torch.cat((angles, angles), 1).sin(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                deep = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * shape.layers) ** 0.5 if deep else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, wanted: Tensor) -> Tensor:
        """Mean loss over ``wanted`` [batch, time], the next token at each place; -1 where none is learnt."""
        time = tokens.shape[1]
        x = self.token_embd(tokens)
        cosine, sine = self.cosine[:time], self.sine[:time]
        for block in self.blk:
            x = block(x, cosine, sine)
        learnt = wanted >= 0
        logits = functional.linear(self.output_norm(x[learnt]), self.token_embd.weight)
        return functional.cross_entropy(logits.float(), wanted[learnt])


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions in the two-halves order that llama.cpp calls NEOX."""
    low, high = x.chunk(2, dim=-1)
    return x * cosine.to(x.dtype) + torch.cat((-high, low), dim=-1) * sine.to(x.dtype)
