"""Restores the events of a reply: text, refusals, reasoning, tool calls, each choice and each call for itself.

Where it is told how, it also looks for private values that the reply brings up by itself. It knows no wire. Which tools
may see real values is said by whoever makes it: nobody is trusted by default.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nearfar.core.chat import (
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    ReasoningSeal,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from nearfar.privacy import mask_form
from nearfar.privacy.redact import Redaction, Redactor
from nearfar.privacy.restore import Engine, Report, Segment, joined
from nearfar.privacy.restore_json import AnyEngine, ArgumentsEngine
from nearfar.privacy.vault import Vault

_Key = tuple[str, int, int]
"""(what, choice, number of the block or call)."""


class _AsItCame:
    """Restores nothing."""

    def feed(self, text: str, *, final: bool = False) -> list[Segment]:  # noqa: ARG002  the contract's signature
        return [(text, None)] if text else []


class _Watched:
    """An engine whose text is looked at before it goes on."""

    def __init__(self, engine: Engine, redactor: Redactor) -> None:
        self._engine = engine
        self.redactor = redactor

    def feed(self, text: str, *, final: bool = False) -> list[Segment]:
        return [(self.redactor.feed(self._engine.feed(text, final=final), final=final), None)]


class Restorer:
    """Turns the events of one reply into those that the client gets; one object per reply."""

    def __init__(
        self,
        vault: Vault,
        *,
        trusted: frozenset[str] = frozenset(),
        reasoning: bool = True,
    ) -> None:
        """``trusted``: names of the tools that run near or that the owner trusts with real values.

        ``reasoning``: False where the vendor signs it, because it must come back to the vendor unmodified.
        """
        self.report = Report()
        self.redaction: Redaction | None = None
        """How the reply is looked at, set before its first event; None: it is not. What is taken out of signed
        reasoning takes the signature along: it would be no longer true."""
        self._vault = vault
        self._trusted = trusted
        self._reasoning = reasoning
        self._engines: dict[_Key, Engine] = {}
        self._last: dict[int, _Key] = {}
        self._untrusted: dict[_Key, str] = {}
        """The end of untrusted arguments, for counting masks in them."""

    def feed(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """The client's events for ``events``. What is held back comes with a later one or with ``flush``."""
        out: list[Event] = []
        for event in events:
            if isinstance(event, TextDelta):
                out += self._text("text", event, AnyEngine)
            elif isinstance(event, RefusalDelta):
                out += self._text("refusal", event, AnyEngine)
            elif isinstance(event, ReasoningDelta):
                out += self._reason(event)
            elif isinstance(event, ToolCallDelta):
                out += self._call(event)
            elif isinstance(event, Finish):
                out += (*self._end(event.index), event)
            elif isinstance(event, ReasoningSeal):
                out += self._seal(event)
            elif isinstance(event, LogprobsDelta) and self.redaction is not None and self.redaction.redact:
                self.redaction.report.dropped.add("logprobs")  # it repeats the text, token by token
            else:
                out.append(event)
        return tuple(out)

    def flush(self) -> tuple[Event, ...]:
        """The reply ended: everything that is still held."""
        return tuple(self._end(None))

    def _text(self, what: str, event: TextDelta | RefusalDelta | ReasoningDelta, make: type[AnyEngine]) -> list[Event]:
        key = (what, event.index, event.block if isinstance(event, ReasoningDelta) else 0)
        out = self._turn_to(key)
        engine = self._engines.get(key)
        if engine is None:
            engine = self._engines[key] = self._watched(make(self._vault, self.report))
        text = joined(engine.feed(event.text))
        if text == event.text:
            out.append(event)
        elif text:
            out.append(msgspec.structs.replace(event, text=text))
        return out

    def _watched(self, engine: Engine, *, arguments: bool = False) -> Engine:
        if self.redaction is None:
            return engine
        return _Watched(engine, Redactor(self.redaction, self._vault.value, arguments=arguments))

    def _reason(self, event: ReasoningDelta) -> list[Event]:
        if self._reasoning:
            return self._text("reasoning", event, AnyEngine)
        if self.redaction is None:
            return [event]
        self._engines.setdefault(("reasoning", event.index, event.block), self._watched(_AsItCame()))
        return self._text("reasoning", event, AnyEngine)

    def _seal(self, event: ReasoningSeal) -> list[Event]:
        key = ("reasoning", event.index, event.block)
        out = self._held(key)
        engine = self._engines.get(key)
        if isinstance(engine, _Watched) and engine.redactor.redacted and event.signature and not event.vendor:
            return out
        return [*out, event]

    def _call(self, event: ToolCallDelta) -> list[Event]:
        key = ("call", event.index, event.call)
        out = self._turn_to(key)
        name = event.name
        if key not in self._engines and key not in self._untrusted:
            name = self._vault.value(mask_form.plain(name)) or name  # a tool whose name was masked as a whole
            if name in self._trusted:
                self._engines[key] = self._watched(ArgumentsEngine(self._vault, self.report), arguments=True)
            else:
                self._untrusted[key] = ""
                if self.redaction is not None:
                    self._engines[key] = self._watched(_AsItCame(), arguments=True)
        if key in self._untrusted:
            self._count(key, event.arguments)
        engine = self._engines.get(key)
        arguments = event.arguments
        if engine is not None:
            arguments = joined(engine.feed(arguments))
        if arguments or event.id or name or event.signature or not event.arguments:
            out.append(msgspec.structs.replace(event, name=name, arguments=arguments))
        return out

    def _turn_to(self, key: _Key) -> list[Event]:
        """``key`` speaks now: what is still held of the text before it comes first."""
        before = self._last.get(key[1])
        self._last[key[1]] = key
        if before is None or before == key:
            return []
        if before[0] == "call":
            # Parallel calls may come in turns, and one whose JSON is complete holds nothing.
            engine = self._engines.get(before)
            if not isinstance(engine, _Watched) or not engine.redactor.plain:
                return []
        return self._held(before)

    def _count(self, key: _Key, arguments: str) -> None:
        """Masks that stay in the arguments of a tool that is not trusted."""
        text = self._untrusted[key] + arguments
        done = 0
        for found in mask_form.finds(text):
            if self._vault.value(mask_form.word(found)) is not None:
                self.report.keep("tool")
                done = found.end()
        self._untrusted[key] = text[max(done, len(text) - mask_form.SPAN) :]

    def _end(self, index: int | None) -> list[Event]:
        """What is held of choice ``index``, or of all; they are done."""
        keys = [key for key in self._engines if index is None or key[1] == index]
        out = [event for key in keys for event in self._held(key)]
        for key in keys:
            del self._engines[key]
            self._untrusted.pop(key, None)
        return out

    def _held(self, key: _Key) -> list[Event]:
        """What is held of ``key``. It may go on afterwards, and then it still knows what it is inside of."""
        engine = self._engines.get(key)
        text = "" if engine is None else joined(engine.feed("", final=True))
        if not text:
            return []
        what, index, number = key
        if what == "text":
            return [TextDelta(text, index)]
        if what == "refusal":
            return [RefusalDelta(text, index)]
        if what == "reasoning":
            return [ReasoningDelta(text, index, number)]
        return [ToolCallDelta(call=number, arguments=text, index=index)]
