"""``nearfar fit``: whether models fit a machine, how fast they are there, and what would make them fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.machine_here import Gpus, Hardware, Ram, here, rig
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, State, of
from nearfar.core.errors import NotFoundError
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the rooms are only needed when a command runs
    from nearfar.advisor.buffers import Run
    from nearfar.advisor.figures import Figure
    from nearfar.advisor.fit import Estimate
    from nearfar.advisor.remedies import Remedy
    from nearfar.advisor.rig import Rig
    from nearfar.advisor.weights import Weights
    from nearfar.catalog.models import Model
    from nearfar.engine.header import Header

CONTEXT = 8192
"""Tokens of context where none is asked for."""
VERDICTS = {
    "fits": "fits",
    "tight": "fits, with little to spare",
    "offload": "fits with weights in the machine's memory",
    "no": "does not fit",
}

Quant = Annotated[str, typer.Option("--quant", metavar="TYPE", help="Type of the weights: Q4_K_M, Q8_0, BF16, AWQ, …")]
Context = Annotated[int, typer.Option("--context", metavar="TOKENS", min=0, help=f"Of each sequence [{CONTEXT}].")]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="llama.cpp, vllm, transformers or tensorrt-llm [llama.cpp; of a folder, transformers].",
    ),
]
KvType = Annotated[
    str, typer.Option("--kv-type", metavar="TYPE", help="Type of the cache: f16, q8_0, q4_0, fp8 [f16].")
]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, apart from the model."""

    hardware: str = ""
    ram: float = 0
    gpus: int = 0
    quant: str = ""
    context: int = 0
    engine: str = ""
    kv_type: str = "f16"
    batch: int = 0
    prompt: int = 1024
    answer: int = 256
    offload: int = -1
    ubatch: int = 512
    flash_attention: bool = True

    def run(self, model: Model, quant: str = "") -> Run:
        """How ``model`` is to be run. Raises BadRequestError for names that are not known."""
        from nearfar.advisor.buffers import Run
        from nearfar.advisor.cache import engine_named, kind_named
        from nearfar.advisor.quant import named

        engine = engine_named(self.engine or "llama.cpp")
        common = "Q4_K_M" if engine == "llama.cpp" else "BF16"
        if model.experts_stored:
            common = model.experts_stored
        return Run(
            engine=engine,
            context=self.context or min(CONTEXT, model.context),
            sequences=max(1, self.batch),
            kv=kind_named(self.kv_type),
            ubatch=self.ubatch,
            flash_attention=self.flash_attention,
            prompt=self.prompt,
            quant=named(self.quant or quant or common),
        )


def fit(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="A name, a repository, a GGUF file or folder. Without it: all.")
    ] = "",
    hardware: Hardware = "",
    ram: Ram = 0,
    gpus: Gpus = 0,
    quant: Quant = "",
    context: Context = 0,
    engine: Engine = "",
    kv_type: KvType = "f16",
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=0, help="Sequences at once.")] = 0,
    prompt: Annotated[
        int, typer.Option("--prompt", metavar="TOKENS", min=1, help="Of the prompt that times are told for.")
    ] = 1024,
    answer: Annotated[int, typer.Option("--answer", metavar="TOKENS", min=1, help="Of its answer, for --batch.")] = 256,
    offload: Annotated[
        int,
        typer.Option(
            "--offload", metavar="LAYERS", min=-1, help="Layers left to the machine's memory [as few as needed]."
        ),
    ] = -1,
    ubatch: Annotated[int, typer.Option("--ubatch", metavar="TOKENS", min=1, help="llama.cpp's --ubatch-size.")] = 512,
    flash_attention: Annotated[bool, typer.Option(help="llama.cpp's --flash-attn.")] = True,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure this processor with the embedded engine first, and keep it.")
    ] = False,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate memory and speed of a model on a machine, each with its range and basis; without MODEL, of all.

    Nothing is downloaded and nobody is asked.
    """
    state = of(ctx)
    loaded = state.load(config, sets)
    asked = Question(
        hardware=hardware,
        ram=ram,
        gpus=gpus,
        quant=quant,
        context=context,
        engine=engine,
        kv_type=kv_type,
        batch=batch,
        prompt=prompt,
        answer=answer,
        offload=offload,
        ubatch=ubatch,
        flash_attention=flash_attention,
    )
    if calibrate:
        _calibrate(state, loaded, asked, alone=not model, json=json)
        if not model:
            return
    made = rig(loaded, hardware, ram=ram, gpus=gpus)
    if model:
        _one(loaded, model, made, asked, json=json, quiet=quiet)
    else:
        _all(made, asked, json=json, quiet=quiet)


def _calibrate(state: State, loaded: Loaded, asked: Question, *, alone: bool, json: bool) -> None:
    from nearfar.advisor.calibration import saved
    from nearfar.cli.calibrate import calibrate

    if asked.hardware:
        raise UsageError("--calibrate measures this machine.", hint="Leave out --hardware.")
    known = calibrate(
        runtime=loaded.folders.runtime,
        environ=state.environ,
        processor=here().processor,
        threads=loaded.settings.engine.threads or 0,
    )
    path = saved(known, loaded.folders.state)
    if alone and json:
        output.json(known)
    elif alone:
        output.line(known.text)
        output.note(f"kept in {path}; from now on `nearfar fit` reckons with it")
    else:
        output.note(known.text)


# ---------------------------------------------------------------------- one model


def _one(loaded: Loaded, name: str, made: Rig, asked: Question, *, json: bool, quiet: bool) -> None:
    from nearfar.advisor.constants import shipped
    from nearfar.advisor.fit import estimate
    from nearfar.advisor.remedies import longest_context, remedies
    from nearfar.advisor.serving import Load

    model, weights, run, note = _subject(loaded, name, asked)
    load = Load(prompt=asked.prompt, answer=asked.answer, sequences=asked.batch) if asked.batch else None
    layers = None if asked.offload < 0 else asked.offload
    told = estimate(model, made, run, shipped(), weights=weights, offload=layers, load=load)
    ways = remedies(model, made, run, shipped()) if told.verdict in {"no", "offload", "tight"} else []
    longest = longest_context(model, made, run)
    if json:
        output.json(
            {
                **msgspec.structs.asdict(told),
                "fits": told.verdict in {"fits", "tight", "offload"},
                "remedies": ways,
                "longest_context": longest,
                "note": note,
                "constants_date": shipped().date,
                "catalogue_date": model.date,
            }
        )
    elif quiet:
        output.line(told.verdict)
    else:
        _print(told, ways, longest, note)


def _subject(loaded: Loaded, name: str, asked: Question) -> tuple[Model, Weights | None, Run, str]:
    """The model, its real weights if a file of it lies here, how it is run, and what to say about it."""
    from nearfar.advisor.quant import dynamic
    from nearfar.advisor.weights import of_model
    from nearfar.catalog.find import find_model

    path = _path(loaded, name)
    if path is not None:
        from nearfar.cli.fit_file import of_header

        file = of_header(_header(path), path)
        run = msgspec.structs.replace(asked, engine=asked.engine or file.engine).run(file.model, file.quant)
        same = not asked.quant or run.quant == file.quant
        return file.model, file.weights if same else None, run, file.note
    found = find_model(name)
    said = asked.quant or found.quant
    run = msgspec.structs.replace(asked, quant=said).run(found.model)
    weights = of_model(found.model, run.quant, dynamic=True) if dynamic(f"{said} {name}") else None
    note = "" if found.exact else f"taken as {found.model.id}; passed over: {' '.join(found.ignored)}"
    return found.model, weights, run, note


def _path(loaded: Loaded, name: str) -> Path | None:
    """The file or folder that ``name`` is, or that the library calls so; None for a model of the catalogue."""
    path = Path(name).expanduser()
    if path.suffix == ".safetensors" and (path.parent / "config.json").exists():
        path = path.parent
    if path.exists() and (path.is_file() or (path / "config.json").exists() or (path / "genai_config.json").exists()):
        return path
    if "/" in name and path.is_dir():
        return path  # its reader says what it lacks
    if name.endswith(".gguf") and "/" in name:
        raise NotFoundError(f"There is no file {name!r}.", code="model_file_unreadable", hint="See: nearfar models ls")
    from nearfar.engine.library import Library

    for model in Library(loaded.folders.models).ls():
        if model.name == name and model.header is not None:
            return model.path
    return None


def _header(path: Path) -> Header:
    from nearfar.engine import gguf_parts
    from nearfar.engine.gguf import read_header

    if gguf_parts.numbered(path.name):
        return gguf_parts.read_parts([path.parent / name for name in gguf_parts.siblings(path)])
    if path.is_dir() and gguf_parts.holds(path):
        return gguf_parts.read_folder(path)[0]
    if path.is_dir():
        from nearfar.engine.folders import read_folder

        return read_folder(path).header
    return read_header(path)


def _print(told: Estimate, ways: list[Remedy], longest: int, note: str) -> None:
    many = f"{told.sequences} sequences of " if told.sequences > 1 else ""
    where = f"{told.engine}, {many}{told.context} tokens of context"
    output.line(f"{told.model} {told.quant} on {told.hardware}, {where}: {VERDICTS[told.verdict]}")
    memory = [
        ("weights", told.weights_bytes),
        ("keys and values", told.kv_cache_bytes),
        ("state", told.state_bytes),
        ("compute", told.compute_bytes),
        ("engine and driver", told.overhead_bytes),
        ("in all", told.total_bytes),
    ]
    rows = [(name, *_sizes(figure), figure.basis) for name, figure in memory if figure.value or name == "in all"]
    output.table(("GIB", "LOW", "VALUE", "HIGH", "BASIS"), rows, right=(1, 2, 3), flow=("BASIS",))
    output.line(f"There are {told.usable_bytes / 2**30:.1f} GiB for it." + _beside(told))
    speeds = [
        ("tokens/s", told.decode_tps),
        ("… at the end", told.decode_full_tps),
        ("prompt tokens/s", told.prefill_tps),
        ("first token, s", told.first_token_seconds),
    ]
    if told.serving is not None:
        speeds.append((f"{told.serving.sequences} at once, tokens/s", told.serving.out_tps))
    output.table(
        ("SPEED", "LOW", "VALUE", "HIGH", "BASIS"),
        [(name, *_numbers(figure), figure.basis) for name, figure in speeds],
        right=(1, 2, 3),
        flow=("BASIS",),
    )
    if told.engine in {"vllm", "tensorrt-llm"}:
        room = told.kv_tokens
        output.line(f"Room in the cache: {room.value:.0f} tokens of all sequences ({room.low:.0f} to {room.high:.0f}).")
    if longest:
        output.line(f"The longest context that fits: {longest} tokens.")
    for way in ways:
        output.line(
            f"With {way.flags}: {way.text}; {way.total_bytes / 2**30:.1f} GiB, about {way.decode_tps:.1f} tokens/s"
        )
    if told.verdict == "no" and not ways:
        output.line("No single change makes it fit: choose a smaller model, see `nearfar fit`.")
    for text in (note, *told.notes):
        if text:
            output.note(text)


def _beside(told: Estimate) -> str:
    if not told.offloaded_layers:
        return ""
    size, layers = told.offloaded_bytes / 2**30, told.offloaded_layers
    return f" Left to the machine's memory: {layers} layer{'' if layers == 1 else 's'}, {size:.1f} GiB."


def _sizes(figure: Figure) -> tuple[str, str, str]:
    low, value, high = (f"{each / 2**30:.2f}" for each in (figure.low, figure.value, figure.high))
    return low, value, high


def _numbers(figure: Figure) -> tuple[str, str, str]:
    low, value, high = (number(each) for each in (figure.low, figure.value, figure.high))
    return low, value, high


def number(value: float) -> str:
    """Three digits are more than is known."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


# ---------------------------------------------------------------------- all models


def _all(made: Rig, asked: Question, *, json: bool, quiet: bool) -> None:
    rows = [estimated(model, made, asked) for model in _models()]
    if json:
        output.json(
            {"hardware": made.label, "models": [{**msgspec.structs.asdict(told), "best": best} for told, best in rows]}
        )
        return
    if quiet:
        for told, _ in rows:
            if told.verdict in {"fits", "tight"}:
                output.line(told.model)
        return
    output.line(f"{made.label}: {made.usable / 2**30:.1f} GiB for models")
    output.table(
        ("MODEL", "TYPE", "GIB", "FITS", "TOKENS/S", "FIRST TOKEN", "BEST TYPE"),
        [
            (
                told.model,
                told.quant,
                f"{told.total_bytes.value / 2**30:.1f}",
                told.verdict,
                *_paces(told),
                best,
            )
            for told, best in rows
        ],
        right=(2, 4, 5),
        drop=("BEST TYPE", "FIRST TOKEN", "TYPE"),
    )
    if made.note:
        output.note(made.note)
    output.note("One model with everything: nearfar fit MODEL. BEST TYPE: the finest weights that fit.")


def _paces(told: Estimate) -> tuple[str, str]:
    """Tokens per second and the wait for the first; nothing where the model does not fit."""
    if told.verdict == "no":
        return "", ""
    pace = f"{number(told.decode_tps.low)} to {number(told.decode_tps.high)}"
    return pace, f"{number(told.first_token_seconds.value)} s"


def _models() -> list[Model]:
    from nearfar.catalog.models import shipped

    return list(shipped().values())


def estimated(model: Model, made: Rig, asked: Question) -> tuple[Estimate, str]:
    """The estimate for one model of many, and the best type that fits."""
    from nearfar.advisor.constants import shipped
    from nearfar.advisor.fit import estimate
    from nearfar.advisor.remedies import best_quant

    run = asked.run(model)
    told = estimate(model, made, run, shipped())
    return told, best_quant(model, made, run) if run.engine == "llama.cpp" else ""
