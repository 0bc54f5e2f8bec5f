"""Labels made by program: prompts of two kinds, where one kind needs far and the other does not."""

from __future__ import annotations

import random

from nearfar.tuning.labels import Label, Opinion, Outcome

EASY = ("cat", "dog", "bird", "fish", "horse", "cow")
HARD = ("integral", "matrix", "tensor", "lemma", "proof", "kernel")


def labels(count: int, *, seed: int = 0, answers: bool = False) -> list[Label]:
    """Half easy, half hard; near is right on nine of ten easy ones and three of ten hard ones, far on nearly all."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        hard = number % 2 == 1
        words = " ".join(chance.choice(HARD if hard else EASY) for _ in range(6))
        right = chance.random() < (0.3 if hard else 0.9)
        truth = chance.randrange(1, 1000)
        answer = truth if right else truth + chance.randrange(1, 9)
        votes = [truth if chance.random() < 0.8 else truth + chance.randrange(1, 9) for _ in range(2)]
        made.append(
            Label(
                id=f"{seed}-{number}",
                prompt=f"What about the {words}, number {number} of {seed}?",
                answer_type="number",
                local=Outcome(score=right, answer=f"It is {answer}." if answers else None, cost=1.0),
                cloud=Outcome(score=chance.random() < 0.97, cost=50.0),
                opinions=[
                    Opinion(model=name, answer=f"#### {vote}", cost=1.0)
                    for name, vote in zip(("alpha", "beta"), votes, strict=True)
                ]
                if answers
                else [],
            )
        )
    return made
