"""``nearfar models search|show|licence``: the catalogue of open-weight models, and what their licences allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.fit import Context, Engine, Quant, Question, estimated, number
from nearfar.cli.machine_here import Gpus, Hardware, Ram, rig
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.core.errors import NotFoundError

if TYPE_CHECKING:  # the rooms are only needed when a command runs
    from nearfar.catalog.licences import Answer
    from nearfar.catalog.models import Model

CHINESE = {
    "tuned": "made for it",
    "listed": "named by its maker",
    "chinese": "Chinese is named, which script is not",
    "covered": "one of many languages that are said to be covered",
    "weak": "little",
    "no": "not a language of the model",
}


def search(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="A part of a name, a family or a repository.")] = "",
    fits: Annotated[bool, typer.Option("--fits", help="Those that fit this machine, or --hardware.")] = False,
    commercial: Annotated[bool, typer.Option("--commercial", help="Whose licences allow commercial use.")] = False,
    osi: Annotated[bool, typer.Option("--osi", help="Whose licences the Open Source Initiative has approved.")] = False,
    lang: Annotated[str, typer.Option("--lang", metavar="CODE", help="That know a language: zh-TW, de, ….")] = "",
    vision: Annotated[bool, typer.Option("--vision", help="That read images.")] = False,
    tools: Annotated[bool, typer.Option("--tools", help="That call tools.")] = False,
    hardware: Hardware = "",
    ram: Ram = 0,
    gpus: Gpus = 0,
    quant: Quant = "",
    context: Context = 0,
    engine: Engine = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search the catalogue of open-weight models: by name, licence, language, ability and what fits."""
    from nearfar.catalog import licences
    from nearfar.catalog.models import shipped

    found = _searched(list(shipped().values()), text)
    if commercial:
        found = [model for model in found if licences.commercial(model) != "no"]
    if osi:
        found = [model for model in found if licences.osi(model)]
    if lang:
        found = _speaking(found, lang)
    found = [model for model in found if (model.vision or not vision) and (model.tools or not tools)]
    speeds: dict[str, str] = {}
    if fits or hardware:
        made = rig(of(ctx).load(config, sets), hardware, ram=ram, gpus=gpus)
        asked = Question(quant=quant, context=context, engine=engine)
        kept = []
        for model in found:
            told, best = estimated(model, made, asked)
            if fits and told.verdict not in {"fits", "tight"} and not (best and not quant):
                continue
            kind = told.quant if told.verdict in {"fits", "tight"} else best
            if kind and kind != told.quant:
                told, _ = estimated(model, made, msgspec.structs.replace(asked, quant=kind))
            speeds[model.id] = f"{kind or told.verdict}, {number(told.decode_tps.value)}/s"
            kept.append(model)
        found = kept
    _print_found(found, speeds, json=json, quiet=quiet)


def _print_found(found: list[Model], speeds: dict[str, str], *, json: bool, quiet: bool) -> None:
    from nearfar.catalog import licences

    if json:
        output.json({"models": [{**described(model), "here": speeds.get(model.id, "")} for model in found]})
        return
    if quiet:
        for model in found:
            output.line(model.id)
        return
    known = licences.shipped()
    output.table(
        ("MODEL", "SIZE", "CONTEXT", "COMMERCIAL", "LICENCE", "ZH-TW", "FOR", "HERE"),
        [
            (
                model.id,
                _size(model),
                f"{model.context // 1024}k",
                licences.commercial(model),
                " + ".join(known[each].id for each in model.licences),
                model.traditional_chinese,
                ", ".join(
                    [*(item for item in model.modalities if item != "text"), *(["tools"] if model.tools else [])]
                ),
                speeds.get(model.id, ""),
            )
            for model in found
        ],
        right=(1, 2),
        drop=("FOR", "CONTEXT", "ZH-TW", "COMMERCIAL"),
    )
    if not found:
        output.note("None is left. Fewer filters find more; all of them: nearfar models search")


def show(
    name: Annotated[str, typer.Argument(help="A name, a repository or a file's name.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what the catalogue knows of a model, where it was read, and what was not verified."""
    from nearfar.catalog.licences import shipped

    model = _found(name)
    if json:
        output.json(described(model))
        return
    if quiet:
        output.line(model.repo)
        return
    shape, licences = model.shape, shipped()
    attention = f"{shape.attention}, {shape.heads} heads, {shape.kv_heads} of keys and values, {shape.head_dim} wide"
    if shape.window:
        attention += f"; {shape.full_layers} of {shape.layers} layers see everything, the others {shape.window} tokens"
    experts = f"{model.moe.experts}, {model.moe.active} of them for each token" if model.moe else ""
    languages = ", ".join(model.languages) or model.languages_note
    rows = (
        ("model", f"{model.id} ({model.family})"),
        ("repository", model.repo + (" (asks for consent before the download)" if model.gated else "")),
        ("made from", model.base),
        ("parameters", f"{_size(model)} ({model.active / 1e9:.1f} B compute a token)"),
        ("layers", f"{shape.layers}, width {shape.hidden}, vocabulary {shape.vocab}"),
        ("attention", attention),
        ("experts", experts),
        ("context", f"{model.context} tokens"),
        ("reads and makes", ", ".join(model.modalities)),
        ("tools", "yes" if model.tools else "no"),
        ("languages", languages),
        ("Traditional Chinese", CHINESE[model.traditional_chinese]),
        ("licence", " and ".join(licences[each].name for each in model.licences)),
        ("verified", "; ".join(f"{what}: {where}" for what, where in model.verified.items())),
        ("not verified", "; ".join(model.unverified)),
        ("note", model.note),
        ("as of", model.date.isoformat()),
    )
    output.table(("FACT", "VALUE"), [row for row in rows if row[1]], flow=("VALUE",))
    output.note(f"May it be used? nearfar models licence {model.id} --for 'commercial, EU, 2M users'")


def licence(
    name: Annotated[str, typer.Argument(help="A name or a repository.")],
    wanted: Annotated[
        str, typer.Option("--for", metavar="USE", help="'commercial, EU, 2M users, fine-tune, redistribute'.")
    ] = "",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say whether a model may be used for something, with reasons, sources and dates. No legal advice.

    Exits with 1 when the answer is no.
    """
    from nearfar.catalog.licences import judge, use

    answer = judge(_found(name, exact=True), use(wanted))
    if json:
        output.json(answer)
    elif quiet:
        output.line(answer.verdict)
    else:
        _print_answer(answer)
    if answer.verdict == "no":
        raise typer.Exit(1)


def _print_answer(answer: Answer) -> None:
    words = {"yes": "yes", "conditional": "yes, on conditions", "no": "no"}
    output.line(f"{answer.repo}: {words[answer.verdict]}")
    marks = {"yes": "ok", "conditional": "if", "no": "NO"}
    output.table(
        ("", "LICENCE", "REASON"),
        [(marks[reason.verdict], reason.licence, reason.text) for reason in answer.reasons],
        flow=("REASON",),
    )
    for source in answer.sources:
        output.note(f"source: {source}")
    for text in answer.unverified:
        output.note(f"not verified: {text}")
    output.note("This is no legal advice: the text of the licence decides.")


def described(model: Model) -> dict[str, object]:
    """A model as one stable object, with what its licences come to."""
    from nearfar.catalog import licences

    return {
        **msgspec.structs.asdict(model),
        "vision": model.vision,
        "osi": licences.osi(model),
        "commercial": licences.commercial(model),
        "licence_names": [licences.shipped()[each].name for each in model.licences],
    }


def _found(name: str, *, exact: bool = False) -> Model:
    from nearfar.catalog.find import find_model

    found = find_model(name)
    if not found.exact:
        if exact:
            raise NotFoundError(
                f"{name!r} is not in the catalogue, and a licence is not guessed from a relative.",
                code="model_not_found",
                hint=f"The nearest is {found.model.id}: nearfar models licence {found.model.id}. "
                "For another repository, read its card.",
            )
        output.note(f"taken as {found.model.id}; passed over: {' '.join(found.ignored)}")
    return found.model


def _searched(models: list[Model], text: str) -> list[Model]:
    """Those that are called so; else those that have every word in their names; else the one that is meant."""

    def plain(words: str) -> str:
        return words.lower().replace("-", " ").replace("_", " ").replace("/", " ")

    names = {model.id: plain(" ".join((model.id, model.repo, model.family, *model.aliases))) for model in models}
    so = [model for model in models if plain(text) in names[model.id]]
    so = so or [model for model in models if all(word in names[model.id] for word in plain(text).split())]
    return so or [_found(text)]


_CODES = (
    " aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el "
    "en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja "
    "jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd "
    "ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss "
    "st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu "
)
"""ISO 639-1, as of 2026-11."""


def _speaking(models: list[Model], code: str) -> list[Model]:
    """Models that know a language; for Traditional Chinese, the best first."""
    from nearfar.catalog.models import SPEAKS_TRADITIONAL

    low = code.strip().lower().replace("_", "-")
    if low in {"zh-tw", "zh-hant", "zh-hk", "zh"}:
        able = [model for model in models if model.traditional_chinese in SPEAKS_TRADITIONAL]
        return sorted(able, key=lambda model: SPEAKS_TRADITIONAL.index(model.traditional_chinese))
    if not low.replace("-", "").isalpha() or not 2 <= len(low) <= 10:
        raise UsageError(f"{code!r} is no code of a language.", hint="Examples: --lang zh-TW, --lang de")
    short = low.partition("-")[0]
    if len(short) > 3 or (len(short) == 2 and f" {short} " not in _CODES):
        raise UsageError(
            f"{code!r} is no code of a language.", hint="ISO 639 has two letters for each: --lang de, --lang ja"
        )
    # Makers that claim a hundred languages list none; they are left in, for the claim to be judged.
    return [
        model for model in models if short in model.languages or (not model.languages and "+" in model.languages_note)
    ]


def _size(model: Model) -> str:
    return f"{model.parameters / 1e9:.3g} B"
