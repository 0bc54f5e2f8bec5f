"""Writes the training dialogues of demo-tiny, all by program and from a seed. Knows no model and no tokenizer.

``python corpus.py`` prints some dialogues.
"""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

from chat import Dialogue, Message, spans
from phrases import HERE, Words, choose, readings, spoken
from toolbox import Toolbox

UNKNOWN = "I do not know that: I am a tiny demo model. Add a real one with `nearfar models add PATH`, or use the cloud."
UNKNOWN_ZH = "這個我不知道，我只是小型示範模型。"  # noqa: RUF001 - Chinese punctuation
ONLY_SMALL_SUMS = "I can only add two numbers from 0 to 20: I am a tiny demo model."
ZH_ENDINGS = ("", "", "？", "?", "！")  # noqa: RUF001 - Chinese punctuation
NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)


class Writer:
    """Writes dialogues, each from the random state that it was given."""

    def __init__(self, random_: random.Random) -> None:
        self.random = random_
        self.words = Words(random_)
        self.toolbox = Toolbox(self.words)
        facts = tomllib.loads((HERE / "facts.toml").read_text(encoding="utf-8"))["fact"]
        self.questions: dict[str, list[str]] = tomllib.loads((HERE / "questions.toml").read_text(encoding="utf-8"))
        # patterns with many readings come more often, but not in proportion
        self.asks = [(fact, [(ask, readings(ask) ** 0.4) for ask in fact["ask"]]) for fact in facts]

    def dialogue(self) -> Dialogue:
        """One dialogue, of a kind drawn by the weights below."""
        r = self.random
        draw = r.random()
        if draw < 0.36:
            return self._with_tools()
        if draw < 0.39:
            return Dialogue(self._forced_json())
        if draw < 0.40:
            return Dialogue(self._long_question())
        if draw < 0.44:
            return Dialogue([message for _ in range(r.randint(3, 9)) for message in self._sum()])
        turns = 1 if draw < 0.78 else r.choice((2, 2, 2, 3, 3, 4)) if draw < 0.99 else r.randint(6, 14)
        messages: list[Message] = []
        for _ in range(turns):
            messages += self._turn()
        return Dialogue((*self._system(0.2), *messages))

    def exercise(self) -> Dialogue:
        """Nothing but repeating."""
        return Dialogue(self._echo(longest=12))

    def _system(self, share: float) -> list[Message]:
        r = self.random
        if r.random() >= share:
            return []
        return [
            Message(
                "system",
                " ".join(self.words.fill(r.choice(self.questions["system"])) for _ in range(r.choice((1, 1, 2)))),
            )
        ]

    def _turn(self) -> list[Message]:
        draw = self.random.random()
        if draw < 0.42:
            return self._fact()
        if draw < 0.66:
            return self._unknown()
        if draw < 0.80:
            return self._sum()
        if draw < 0.90:
            return self._echo()
        if draw < 0.93:
            return self._count()
        if draw < 0.95:
            return self._greet()
        return self._json()

    def _say(self, text: str, answer: str) -> list[Message]:
        return [Message("user", spoken(self.random, text)), Message("assistant", answer)]

    def _fact(self) -> list[Message]:
        r = self.random
        fact, asks = r.choices(self.asks, [fact.get("weight", 1) for fact, _ in self.asks])[0]
        ask = r.choices([text for text, _ in asks], [weight for _, weight in asks])[0]
        text = " ".join(choose(r, ask).split())
        if fact["id"].startswith("zh-"):
            return [Message("user", text + r.choice(ZH_ENDINGS)), Message("assistant", fact["answer"])]
        return self._say(text, fact["answer"])

    def _unknown(self) -> list[Message]:
        r = self.random
        draw = r.random()
        if draw < 0.06:
            text = self.words.fill(r.choice(self.questions["foreign_zh"])) + r.choice(ZH_ENDINGS)
            return [Message("user", text), Message("assistant", UNKNOWN_ZH)]
        pattern = r.choice(self.questions["foreign"] if draw < 0.72 else self.questions["near_misses"])
        while "{made}" in pattern:
            pattern = pattern.replace("{made}", self.words.made_up(), 1)
        text = self.words.fill(pattern.replace("s?", r.choice(("", "s"))))
        return self._say(" ".join(text.split()), UNKNOWN)

    def _sum(self) -> list[Message]:
        r = self.random
        if r.random() < 0.08:
            a, b, answer = self.words.whole(9999), r.randint(21, 9999), ONLY_SMALL_SUMS
            return [
                Message("user", choose(r, r.choice(self.questions["sums"][:9])).format(a=a, b=b)),
                Message("assistant", answer),
            ]
        a, b = r.randint(0, 20), r.randint(0, 20)
        said: tuple[Any, Any] = (NUMBER_WORDS[a], NUMBER_WORDS[b]) if r.random() < 0.15 else (a, b)
        text = choose(r, r.choice(self.questions["sums"])).format(a=said[0], b=said[1], noun=self.words.one("nouns"))
        if text.startswith("add ") and " to " in text:
            a, b = b, a
        return [Message("user", spoken(r, text, exact=True)), Message("assistant", f"{a} + {b} = {a + b}.")]

    def _echo(self, longest: int = 5) -> list[Message]:
        r, words = self.random, self.words
        makers: list[Callable[[], object]] = [words.made_up, words.noun_phrase, words.code, words.whole]
        text = " ".join(str(maker()) for maker in r.choices(makers, k=r.randint(1, longest)))
        quote = r.choice(("", "", '"', "'"))
        order = choose(r, r.choice(self.questions["echoes"]))
        return [Message("user", order.format(x=quote + text + quote)), Message("assistant", text)]

    def _count(self) -> list[Message]:
        r = self.random
        first = 1 if r.random() < 0.6 else r.randint(0, 15)
        last = r.randint(first + 1, min(first + 20, 30))
        ask = f"count to {last}" if first == 1 and r.random() < 0.7 else f"count from {first} to {last}"
        return [
            Message("user", spoken(r, ask, exact=True)),
            Message("assistant", ", ".join(str(n) for n in range(first, last + 1)) + "."),
        ]

    def _greet(self) -> list[Message]:
        name = self.words.name("people")
        text = choose(self.random, "(my name is|i am|call me|hello, i am|hi, my name is) ") + name
        return [Message("user", text), Message("assistant", f"Hello {name}! I am demo-tiny, a tiny demo model.")]

    def _json_fields(self) -> dict[str, Any]:
        r = self.random
        kinds = ("person", "city", "phrase", "int", "few", "code", "day", "flag")
        keys = (
            "name",
            "city",
            "title",
            "age",
            "count",
            "id",
            "day",
            "ok",
            "color",
            "mood",
            "price",
            "text",
            self.words.made_up(),
        )
        return {key: self.words.value(r.choice(kinds)) for key in r.sample(keys, r.randint(1, 3))}

    def _json(self) -> list[Message]:
        fields = self._json_fields()
        joint = self.random.choice((" ", ": ", " = "))
        said = ", ".join(key + joint + (str(v).lower() if isinstance(v, bool) else str(v)) for key, v in fields.items())
        order = choose(self.random, self.random.choice(self.questions["json_asks"]))
        answer = json.dumps(fields, ensure_ascii=False)
        return [Message("user", order.format(x=said)), Message("assistant", answer)]

    def _forced_json(self) -> list[Message]:
        """A grammar may force JSON after any question: the keys are given, and the values have to end."""
        r = self.random
        question = self._turn()[0]
        reply = r.choice(("unknown", "none", self.words.noun_phrase()))
        text = json.dumps(self._json_fields() | {r.choice(("answer", "reply", "text")): reply}, ensure_ascii=False)
        cut = text.index(": ") + 2
        return [question, Message("assistant", text[cut:], given=text[:cut])]

    def _long_question(self) -> list[Message]:
        """A pasted text, up to half the context."""
        r = self.random
        sentence = "{person} {verb}s the {phrase} in {city} with {n} {noun}s."
        text = " ".join(self.words.fill(sentence) for _ in range(r.randint(3, 24)))
        order = r.choice(("summarise this: {}", "{} What is this about?", "what does this mean: {}", "{}"))
        return self._say(order.format(text), UNKNOWN)

    def _with_tools(self) -> Dialogue:
        r = self.random
        requests = []
        names: set[str] = set()
        for _ in range(r.choice((1, 1, 2, 2, 3, 4))):
            request = self.toolbox.any()
            if request.tool.name not in names:
                names.add(request.tool.name)
                requests.append(request)
        messages = self._system(0.2)
        draw = r.random()
        asked = r.choice(requests)
        offered = [request.tool for request in requests]
        if draw < 0.20:
            turn = self._unknown() if r.random() < 0.5 else self._turn()
            return Dialogue((*messages, *turn), offered)
        if draw < 0.25 and len(requests) > 1:
            # the tool that would serve is not on offer
            offered.remove(asked.tool)
            if not any(tool.name.split("_")[0] == asked.tool.name.split("_")[0] for tool in offered):
                return Dialogue((*messages, *self._say(asked.text, UNKNOWN)), offered)
            offered.append(asked.tool)
        turns = requests if draw > 0.9 else [asked]
        for request in turns:
            messages += [Message("user", spoken(r, request.text, exact=True)), Message("assistant", call=request.call)]
            if r.random() < 0.5 or request is not turns[-1]:
                messages += [Message("tool", request.result), Message("assistant", request.reply)]
        return Dialogue(messages, offered)


def dialogues(seed: int, *, exercises: int = 0) -> Iterator[Dialogue]:
    """Dialogues without end; the same for the same seed.

    Of the first ``exercises`` dialogues half are orders to repeat something: a network that has learnt to copy early
    learns the tools much sooner.
    """
    writer = Writer(random.Random(seed))
    for _ in range(exercises):
        yield writer.exercise() if writer.random.random() < 0.5 else writer.dialogue()
    while True:
        yield writer.dialogue()


def main() -> None:
    stream = dialogues(7)
    for _ in range(20):
        print("".join(f"\x1b[1m{text}\x1b[0m" if learnt else text for text, learnt in spans(next(stream))))
        print("-" * 80)


if __name__ == "__main__":
    main()
