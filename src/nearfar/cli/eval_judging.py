"""What an evaluation's judge is asked, and what its words are worth. It asks nobody.

The words and their reading are those of the gateway's own judge, so that labels of both mean the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from nearfar.cli.eval_asking import Named
from nearfar.cli.eval_plan import Plan, body, bound
from nearfar.core.places import Class
from nearfar.evaluation.comparing import Judged
from nearfar.evaluation.prompts import Prompt
from nearfar.evaluation.records import Book, Heard, Job
from nearfar.gateway import judge_prompts

LONGEST_REPLY = 1024
"""Output tokens: a few for the numbers, the rest for models that think first."""


class Worth(NamedTuple):
    """What one pair of answers is worth, 0 to 1, mean of both orders; None where a word cannot be read."""

    prompt: str
    one: str
    other: str
    values: tuple[float, float] | None
    turned: bool
    """Whether who is better hung on the order."""


def judgements(
    plan: Plan, prompts: Sequence[Prompt], asked: Sequence[Job], rows: Mapping[str, Named], book: Book
) -> list[Job]:
    """Every pair of answers in both orders; of at least the class that either answer's request had."""
    texts = {(job.on, job.id, job.repeat): found.heard for job in asked if (found := book.get(job)) is not None}
    made: list[Job] = []
    for prompt in prompts:
        for repeat in range(plan.repeat):
            for one, other in combinations(plan.on, 2):
                mine, theirs = texts.get((one, prompt.id, repeat)), texts.get((other, prompt.id, repeat))
                if mine is None or theirs is None:
                    continue
                classes = [Class.parse(name) for name in (plan.class_, mine.class_, theirs.class_) if name]
                for pair, first, second in (((one, other), mine, theirs), ((other, one), theirs, mine)):
                    messages = question(prompt, first, second)
                    made.append(
                        Job(
                            id=prompt.id,
                            on=plan.judge,
                            role="judge",
                            repeat=repeat,
                            pair=pair,
                            body=body(plan.judge, messages, LONGEST_REPLY),
                            class_=max(classes).label if classes else "",
                            bound=bound(messages, LONGEST_REPLY, rows[plan.judge]),
                        )
                    )
    return made


def question(prompt: Prompt, first: Heard, second: Heard) -> list[dict[str, object]]:
    """The messages for a judge who sees ``first`` as a and ``second`` as b, and the right answer if there is one."""
    turns = [f"[{item.role}]\n{item.content}" for item in prompt.messages]
    conversation = prompt.messages[0].content if len(turns) == 1 else "\n\n".join(turns)
    if prompt.answers:
        conversation += f"\n\n[right answer, or any of these]\n{' / '.join(prompt.answers)}"
    # The same question gets the same mark, or nothing could be gone on with. No answer holds a hash of itself.
    whole = f"{conversation}\0{first.text}\0{second.text}".encode("utf-8", "replace")
    system, ask = judge_prompts.asked(
        judge_prompts.shipped(),
        mark=f"##{hashlib.blake2b(whole, digest_size=8).hexdigest()}",
        conversation=conversation,
        first=first.text,
        second=second.text,
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": ask}]


def worths(plan: Plan, verdicts: Sequence[Job], book: Book) -> Iterator[Worth]:
    """Every pair that was judged in both orders."""
    said = {(job.id, job.repeat, *job.pair): read(found.heard) for job in verdicts if (found := book.get(job))}
    for prompt in dict.fromkeys(job.id for job in verdicts):
        for repeat in range(plan.repeat):
            for one, other in combinations(plan.on, 2):
                there, back = (prompt, repeat, one, other), (prompt, repeat, other, one)
                if there not in said or back not in said:
                    continue
                ahead, behind = said[there], said[back]
                if ahead is None or behind is None:
                    yield Worth(prompt, one, other, None, turned=False)
                    continue
                values = ((ahead[0] + behind[1]) / 2, (ahead[1] + behind[0]) / 2)
                turned = (ahead[0] - ahead[1]) * (behind[1] - behind[0]) < 0
                yield Worth(prompt, one, other, values, turned=turned)


def read(heard: Heard | None) -> tuple[float, float] | None:
    """The two numbers of a reply; None for anything but these."""
    return None if heard is None else judge_prompts.numbers(heard.spoken)


def judged(plan: Plan, verdicts: Sequence[Job], book: Book) -> Judged | None:
    """What the judge did, for the report; None without one."""
    if not plan.judge:
        return None
    records = [book.records[job.key] for job in verdicts if job.key in book.records]
    costs = [None if item.heard is None else item.heard.cost for item in records]
    known = [cost for cost in costs if cost is not None]
    return Judged(
        name=plan.judge,
        verdicts=sum(item.heard is not None for item in records),
        unreadable=sum(item.heard is not None and read(item.heard) is None for item in records),
        turned=sum(item.turned for item in worths(plan, verdicts, book)),
        cost=sum(known),
        cost_unknown=len(costs) - len(known),
    )
