"""Trains demo-tiny on a CPU for a given number of minutes. Knows the corpus only as a stream of dialogues.

``python train.py OUT_FOLDER --minutes 55`` writes ``tokenizer.json`` and ``model.pt``. The learning rate is tied to
the time, so that a run of any length ends properly; two runs with one seed see the same dialogues in the same order,
but stop after different numbers of steps, so the weights are not the same to the bit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import tokens
import torch
from chat import Dialogue, spans
from corpus import dialogues
from model import Network, Shape
from tokenizers import Tokenizer
from torch import Tensor

POOL = 8  # batches that are cut from one pool sorted by length, so that little is padded
LONGEST = 900  # tokens; no dialogue is longer today, and one that is would be left out
WARM_UP = 0.02
EXERCISES = 8_000  # dialogues at the start
MUON_RATE = 0.02
ADAM_RATE = 0.004
RESUMED = 0.35  # of these rates when a run is resumed


def encoded(tokenizer: Tokenizer, dialogue: Dialogue) -> tuple[list[int], list[bool]]:
    """Token ids of a dialogue, and which of them the model has to write."""
    ids: list[int] = []
    learnt: list[bool] = []
    for text, learn in spans(dialogue):
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids += piece
        learnt += [learn] * len(piece)
    return ids, learnt


def batches(
    tokenizer: Tokenizer, stream: Iterator[Dialogue], size: int, shuffle: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of about ``size`` tokens, each of dialogues alike in length: (tokens, next tokens or -1)."""
    while True:
        pool: list[tuple[list[int], list[bool]]] = []
        gathered = 0
        while gathered < POOL * size:
            pair = encoded(tokenizer, next(stream))
            if len(pair[0]) <= LONGEST:
                pool.append(pair)
                gathered += len(pair[0])
        pool.sort(key=lambda pair: len(pair[0]))
        groups: list[list[tuple[list[int], list[bool]]]] = [[]]
        for pair in pool:
            if groups[-1] and (len(groups[-1]) + 1) * len(pair[0]) > size * 1.1:
                groups.append([])
            groups[-1].append(pair)
        for index in torch.randperm(len(groups), generator=shuffle).tolist():
            yield _padded(groups[index])


def _padded(group: list[tuple[list[int], list[bool]]]) -> tuple[Tensor, Tensor]:
    longest = max(len(ids) for ids, _ in group)
    shown = torch.zeros(len(group), longest - 1, dtype=torch.long)
    wanted = torch.full((len(group), longest - 1), -1, dtype=torch.long)
    for row, (ids, learnt) in enumerate(group):
        shown[row, : len(ids) - 1] = torch.tensor(ids[:-1])
        wanted[row, : len(ids) - 1] = torch.tensor(
            [token if learn else -1 for token, learn in zip(ids[1:], learnt[1:], strict=True)]
        )
    return shown, wanted


def optimisers(network: Network) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for the rest."""
    matrices = [p for name, p in network.named_parameters() if p.ndim == 2 and name.startswith("blk")]
    rest = [p for name, p in network.named_parameters() if p.ndim != 2 or not name.startswith("blk")]
    return [
        torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.02, momentum=0.95, adjust_lr_fn="original"),
        torch.optim.AdamW(rest, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.01, fused=True),
    ]


def rate(progress: float) -> float:
    """Factor of the learning rate: warm-up, then down to zero in a straight line."""
    return min(progress / WARM_UP, 1.0) * max(1.0 - progress, 0.0)


def train(
    network: Network, data: Iterator[tuple[Tensor, Tensor]], seconds: float, strength: float = 1.0
) -> tuple[int, int]:
    """Train until the time is over, at ``strength`` times the usual learning rate; (steps, tokens seen)."""
    optimisers_ = optimisers(network)
    peaks = [group["lr"] for optimiser in optimisers_ for group in optimiser.param_groups]
    began, steps, seen, mean = time.monotonic(), 0, 0, 0.0
    while (elapsed := time.monotonic() - began) < seconds:
        groups = [group for optimiser in optimisers_ for group in optimiser.param_groups]
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = strength * peak * max(rate(elapsed / seconds), 1e-4)
        shown, wanted = next(data)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = network(shown, wanted)
        if not torch.isfinite(loss):
            raise ArithmeticError(f"The loss of step {steps} is {loss.item()}: a batch without anything to learn?")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in optimisers_:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        steps += 1
        seen += shown.numel()
        mean += (loss.item() - mean) / min(steps, 50)
        if steps % 50 == 0:
            print(
                f"step {steps} loss {mean:.4f} {seen / (time.monotonic() - began):.0f} tokens/s {elapsed:.0f} s",
                flush=True,
            )
    return steps, seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("out", type=Path, help="folder for tokenizer.json and model.pt")
    parser.add_argument("--minutes", type=float, required=True, help="wall-clock time of the training itself")
    parser.add_argument("--resume", type=Path, help="start from what an earlier run wrote here, at a lower rate")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=2048, help="tokens per step")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)

    if arguments.resume:
        tokenizer = Tokenizer.from_file(str(arguments.resume / "tokenizer.json"))
        earlier = torch.load(arguments.resume / "model.pt", weights_only=True)
    else:
        tokenizer = tokens.learn(islice(dialogues(arguments.seed + 1), 12_000))
        earlier = None
    tokenizer.save(str(arguments.out / "tokenizer.json"))
    network = Network(Shape(vocabulary=tokenizer.get_vocab_size()))
    print(f"{sum(p.numel() for p in network.parameters())} parameters, {tokenizer.get_vocab_size()} tokens", flush=True)
    if earlier:
        network.load_state_dict(earlier["weights"])
    shuffle = torch.Generator().manual_seed(arguments.seed)
    data = batches(
        tokenizer, dialogues(arguments.seed, exercises=0 if earlier else EXERCISES), arguments.batch, shuffle
    )
    steps, seen = train(network, data, arguments.minutes * 60, RESUMED if earlier else 1.0)
    if earlier:
        steps, seen = steps + earlier["steps"], seen + earlier["tokens"]
    state = {
        "shape": asdict(network.shape),
        "weights": network.state_dict(),
        "steps": steps,
        "tokens": seen,
        "seed": arguments.seed,
    }
    torch.save(state, arguments.out / "model.pt")
    print(f"{steps} steps, {seen} tokens")


if __name__ == "__main__":
    main()
