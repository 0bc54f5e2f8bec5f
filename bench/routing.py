"""How well a learned router and the cascade choose, on recorded answers, and whether the certificate's promise holds.

    python -m bench.routing [FOLDER] [--only mmlu,gsm8k,mmlu_pro] [--embeddings MMLU.npy] [--json FILE]

FOLDER holds the Parquet files that ``bench/routing_data.py`` names; without it ``../shared/data/routing`` beside the
repository is looked for, and what is absent is said. Reading it needs pyarrow, which is no dependency of the project:
``uv run --with pyarrow --with scikit-learn python -m bench.routing``. The baseline of four predictors needs
scikit-learn and, with ``--embeddings``, one row of a sentence model for each MMLU prompt, in the file's order.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import routing_data as data
from nearfar.policy.cascade import Rules, opinion
from nearfar.policy.cascade_answers import same
from nearfar.tuning import answers, evaluate, metrics, router
from nearfar.tuning.certificate import certify
from nearfar.tuning.labels import Label

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ROOT.parent / "shared" / "data" / "routing"
Array = NDArray[np.float64]
RESAMPLES = 1000
TRIALS = 200
NEAR_COST = 0.01
"""What a near answer or an opinion costs, as a share of a far answer: about that in RouteLLM's prices."""


def figures(score: Array, labels: Sequence[Label]) -> dict[str, Any]:
    """The published figures of one order, with the interval of the first."""
    both = evaluate.sides(labels)
    found = metrics.bootstrap(metrics.apgr, score, both, resamples=RESAMPLES)
    return {
        "apgr": round(found.value, 4),
        "interval": [round(found.low, 4), round(found.high, 4)],
        "apgr_at_tenths": round(metrics.apgr_at_tenths(score, both), 4),
        "cpt50": round(metrics.calls_for_gap(score, both, 0.5), 4),
        "cpt80": round(metrics.calls_for_gap(score, both, 0.8), 4),
        "calls98": round(metrics.calls_for_quality(score, both, 0.98), 4),
    }


def gain(score: Array, baseline: Array, labels: Sequence[Label]) -> list[float]:
    """APGR over a baseline on the same prompts: value, low, high."""
    found = metrics.paired(metrics.apgr, score, baseline, evaluate.sides(labels), resamples=RESAMPLES)
    return [round(value, 4) for value in (found.value, found.low, found.high)]


def charged(paid: float) -> metrics.Metric:
    """APGR over budgets, of which ``paid`` goes to near answers and opinions."""
    return lambda score, both: metrics.apgr_charged(score, both, paid)


def gain_charged(score: Array, paid: float, baseline: Array, its: float, labels: Sequence[Label]) -> list[float]:
    """The same gain where each side pays for its near answers and opinions."""
    both = evaluate.sides(labels)
    found = metrics.paired(charged(paid), score, baseline, both, its=charged(its), resamples=RESAMPLES)
    return [round(value, 4) for value in (found.value, found.low, found.high)]


def agreement(labels: Sequence[Label], models: Sequence[str]) -> Array:
    """The published baseline: how many of these models disagree with the near answer. Untrained, no checks."""
    doubt = []
    for label in labels:
        near = answers.signals(label)
        said = {item.model: item.answer or "" for item in label.opinions}
        agreed = [same(near.answer, opinion(said.get(one, ""), near.kind), near.kind) for one in models]
        doubt.append(-float(sum(agreed)))
    return np.array(doubt)


def cascade(
    read: Callable[..., list[Label]], folder: Path, models: tuple[str, ...], baselines: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Untrained and trained (five folds), with the gain over each baseline."""
    wanted = tuple(dict.fromkeys((*models, *(name for names in baselines.values() for name in names))))
    labels = read(folder, wanted)
    judged = evaluate.judged(labels, models, Rules())
    untrained = 1 - np.array([item.confidence for item in judged])
    trained = evaluate.crossed(labels, judged, models)
    asked, both = float(np.mean([len(item.opinions) for item in judged])), evaluate.sides(labels)
    paid = NEAR_COST * (1 + asked)
    return {
        "prompts": len(labels),
        "opinions": list(models),
        "asked": round(asked, 3),
        "untrained": {**figures(untrained, labels), "charged": round(charged(paid)(untrained, both), 4)},
        "trained": {**figures(trained, labels), "charged": round(charged(paid)(trained, both), 4)},
        "oracle": round(metrics.apgr(both.gap, both), 4),
        "baselines": {
            name: {
                "models": list(names),
                **figures(base := agreement(labels, names), labels),
                "charged": round(charged(its := NEAR_COST * (1 + len(names)))(base, both), 4),
                "gain_untrained": gain(untrained, base, labels),
                "gain_trained": gain(trained, base, labels),
                "gain_untrained_charged": gain_charged(untrained, paid, base, its, labels),
                "gain_trained_charged": gain_charged(trained, paid, base, its, labels),
            }
            for name, names in baselines.items()
        },
    }


def mmlu(folder: Path, embeddings: Path | None) -> dict[str, Any]:
    """Prompt alone: five folds, 1,500 labels, the certificate over resamples, time for one prompt."""
    labels, suspect = data.mmlu(folder)
    both = evaluate.sides(labels)
    folds = np.random.default_rng(0).permutation(len(labels)) % evaluate.FOLDS
    score = evaluate.crossed(labels)
    clean = np.flatnonzero(~np.array(suspect)).tolist()
    result: dict[str, Any] = {
        "prompts": len(labels),
        "five folds": figures(score, labels),
        "five folds, without suspect labels": figures(score[clean], [labels[at] for at in clean]),
        "1500 labels, five draws": _few(labels, 1500),
        "longer prompts far": figures(np.array([float(len(label.prompt)) for label in labels]), labels),
        "oracle": round(metrics.apgr(both.gap, both), 4),
        "certificate": promise(score, labels),
        "milliseconds for a prompt": _speed(labels),
    }
    result["baseline of four"] = "absent: give --embeddings, and install scikit-learn"
    if embeddings is not None:
        from bench import routing_four

        four = routing_four.scores([label.prompt for label in labels], both.gap, folds, np.load(embeddings))
        result["baseline of four"] = {**figures(four, labels), "gain": gain(score, four, labels)}
        rows = np.load(embeddings).tolist()
        with_them = [
            Label(
                id=one.id,
                prompt=one.prompt,
                local=one.local,
                cloud=one.cloud,
                answer_type=one.answer_type,
                embedding=row,
            )
            for one, row in zip(labels, rows, strict=True)
        ]
        averaged = evaluate.crossed(with_them)
        result["five folds, with embeddings"] = {**figures(averaged, labels), "gain": gain(averaged, four, labels)}
    return result


def _few(labels: Sequence[Label], count: int) -> dict[str, Any]:
    found = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(labels)).tolist()
        fitted = evaluate.learned([labels[at] for at in order[:count]], None, [])
        rest = [labels[at] for at in order[count:]]
        found.append(metrics.apgr(evaluate.scores(fitted, rest), evaluate.sides(rest)))
    return {"apgr": round(float(np.mean(found)), 4), "draws": [round(value, 4) for value in found]}


def promise(
    score: Array, labels: Sequence[Label], *, loss: float = 0.05, confidence: float = 0.9, pairs: int = 300
) -> dict[str, Any]:
    """How often the certificate is broken on prompts that it did not see, over random draws of its pairs."""
    lost = np.maximum(0, evaluate.sides(labels).gap)
    broken, local = 0, []
    for trial in range(TRIALS):
        order = np.random.default_rng(trial).permutation(len(labels))
        seen, rest = order[:pairs], order[pairs:]
        found = certify(score[seen].tolist(), lost[seen].tolist(), loss=loss, confidence=confidence)
        kept = np.zeros(len(rest), bool) if found.threshold is None else score[rest] <= found.threshold
        broken += float((lost[rest] * kept).mean()) > loss
        local.append(float(kept.mean()))
    allowed = 1 - confidence
    return {
        "loss": loss,
        "confidence": confidence,
        "pairs": pairs,
        "trials": TRIALS,
        "broken": round(broken / TRIALS, 4),
        "allowed": round(allowed + 2 * math.sqrt(allowed * confidence / TRIALS), 4),
        "local_share": round(float(np.mean(local)), 4),
    }


def _speed(labels: Sequence[Label]) -> dict[str, float]:
    """Processor time to score one prompt, features included: the best of three runs each."""
    count = len(labels) * 4 // 5
    fitted = evaluate.learned(labels[:count], None, [])
    times = []
    for label in labels[count : count + 300]:
        best = float("inf")
        for _ in range(3):
            begun = time.process_time_ns()
            router.score(fitted, label.prompt)
            best = min(best, (time.process_time_ns() - begun) / 1e6)
        times.append(best)
    return {"labels": count, "mean": round(float(np.mean(times)), 3), "p95": round(float(np.quantile(times, 0.95)), 3)}


def report(folder: Path, only: Sequence[str], embeddings: Path | None) -> dict[str, Any]:
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "gsm8k": lambda: cascade(data.gsm8k, folder, data.GSM8K_OPINIONS, {"one opinion": (data.GSM8K_ONE,)}),
        "mmlu_pro": lambda: cascade(
            data.mmlu_pro,
            folder,
            data.PRO_OPINIONS,
            {"one opinion": (data.PRO_ONE,), "five opinions": data.PRO_FIVE},
        ),
        "mmlu": lambda: mmlu(folder, embeddings),
    }
    result: dict[str, Any] = {}
    for name, part in parts.items():
        if not only or name in only:
            begun = time.monotonic()
            result[name] = {**part(), "seconds": round(time.monotonic() - begun, 1)}
            print(name, json.dumps(result[name], indent=1), flush=True)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", type=Path, help="where the recorded answers lie")
    parser.add_argument("--only", default="", help="parts, separated by commas: gsm8k, mmlu_pro, mmlu")
    parser.add_argument("--embeddings", type=Path, help="one row for each MMLU prompt, as .npy")
    parser.add_argument("--json", type=Path, help="also write everything here")
    given = parser.parse_args(arguments)
    folder = given.folder or (BESIDE if BESIDE.is_dir() else None)
    if folder is None or not (folder / data.ROUTELLM).is_file():
        print("absent: no recorded answers (give their folder). Nothing is measured.", file=sys.stderr)
        return 0 if given.folder is None else 2
    if find_spec("pyarrow") is None:
        print("absent: pyarrow, which reads Parquet: uv run --with pyarrow … Nothing is measured.", file=sys.stderr)
        return 2
    result = report(folder, [part for part in given.only.split(",") if part], given.embeddings)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
