"""Rules: class → the furthest place it may reach, and the class of a request. Pure; no detection happens here."""

from __future__ import annotations

import msgspec

from nearfar.core.places import Class, Place


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, ready to be asked."""

    name: str
    furthest: tuple[Place, Place, Place, Place]
    """Indexed by Class: public, internal, confidential, restricted."""
    default: Class
    """The class of a request about which nobody said anything."""
    offline: bool = False

    def reach(self, class_: Class) -> Place:
        """The furthest place that ``class_`` may reach."""
        return self.furthest[class_]


def classify(
    rules: Rules, *, route: Class, caller: Class | None, header: Class | None, stored: Class | None = None
) -> tuple[Class, str]:
    """The highest of what is said about a request, and who said it.

    The default stands for a request about which neither its caller nor its header says anything; its route can only
    raise it. Once one of them speaks, the highest of caller, header and route counts. ``stored``, the class of a kept
    conversation that the request continues, only ever raises what the request would be by itself.
    """
    own = _own(rules, route=route, caller=caller, header=header)
    return own if stored is None or stored <= own[0] else (stored, "conversation")


def _own(rules: Rules, *, route: Class, caller: Class | None, header: Class | None) -> tuple[Class, str]:
    if caller is None and header is None:
        return (route, "route") if route > rules.default else (rules.default, "default")
    said = [(route, "route")]
    if caller is not None:
        said.append((caller, "caller"))
    if header is not None:
        said.append((header, "header"))
    highest, who = said[0]
    for class_, name in said[1:]:
        if class_ > highest:
            highest, who = class_, name
    return highest, who
