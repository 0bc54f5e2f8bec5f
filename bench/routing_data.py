"""Reads recorded answers for the routing bench into labels, as ``nearfar router`` takes them.

The data lies beside the repository and is read in place; a reader of Parquet (pyarrow) is needed for it alone.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from nearfar.tuning.labels import Label, Opinion, Outcome

ROUTELLM = "routellm_gpt4_mixtral_dev.parquet"
QUESTIONS = "mmlupro_questions_dev.parquet"
RESULTS = "mmlupro_results_dev.parquet"
ZERO_QUESTIONS = "zeroeval_questions_dev.parquet"
ZERO_RESULTS = "zeroeval_results_dev.parquet"

GSM8K_OPINIONS = ("Phi-3.5-mini-instruct", "Yi-1.5-9B-Chat")
GSM8K_ONE = "gemma-2-9b-it"
"""The best single opinion in the published measurements of this pair."""
PRO_NEAR = "Mixtral-8x7B-Instruct-v0.1"
PRO_FAR = "gemini-1.5-pro-002"
PRO_OPINIONS = ("Meta-Llama-3_1-8B-Instruct", "Phi-3-mini-4k-instruct")
PRO_ONE = "Phi-3-mini-4k-instruct"
PRO_FIVE = (
    "Phi-3-mini-4k-instruct",
    "Meta-Llama-3_1-8B-Instruct",
    "mathstral-7B",
    "gemma-7b",
    "Mistral-7B-Instruct-v0.2",
)


def rows(path: Path) -> list[dict[str, Any]]:
    """A Parquet file as dictionaries."""
    from pyarrow import parquet

    found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return found


def mmlu(folder: Path) -> tuple[list[Label], list[bool]]:
    """MMLU with the official labels, and which of them are suspect."""
    found = [row for row in rows(folder / ROUTELLM) if row["dataset"] == "mmlu"]
    labels = [
        Label(
            id=f"mmlu-{number}",
            prompt=row["prompt"],
            answer_type="choice",
            local=Outcome(score=row["weak"]),
            cloud=Outcome(score=row["strong"]),
            task=row["subject"],
        )
        for number, row in enumerate(found)
    ]
    return labels, [bool(row["label_suspect"]) for row in found]


def gsm8k(folder: Path, opinions: tuple[str, ...] = GSM8K_OPINIONS) -> list[Label]:
    """GSM8K with cleaned labels, where the same question was also put to the models that give opinions."""
    ids = {_plain(row["prompt"]): row["id"] for row in rows(folder / ZERO_QUESTIONS) if row["dataset"] == "gsm"}
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows(folder / ZERO_RESULTS):
        if row["dataset"] == "gsm":
            said[row["id"]][row["model"]] = row["answer"] or ""
    labels = []
    for number, row in enumerate(rows(folder / ROUTELLM)):
        key = ids.get(_plain(row["prompt"])) if row["dataset"] == "gsm8k" else None
        if key is None:
            continue
        labels.append(
            Label(
                id=f"gsm8k-{number}",
                prompt=row["prompt"],
                answer_type="number",
                local=Outcome(score=row["weak_clean"], answer=row["weak_response"]),
                cloud=Outcome(score=row["strong_clean"]),
                opinions=[Opinion(model=name, answer=said[key].get(name, "")) for name in opinions],
            )
        )
    return labels


def mmlu_pro(folder: Path, opinions: tuple[str, ...] = PRO_OPINIONS) -> list[Label]:
    """MMLU-Pro: recorded letters of models and lengths; a letter that could not be read is an empty answer."""
    results: dict[int, dict[str, tuple[str, bool, int | None]]] = defaultdict(dict)
    wanted = {PRO_NEAR, PRO_FAR, *opinions}
    for row in rows(folder / RESULTS):
        if row["model"] in wanted:
            results[row["question_id"]][row["model"]] = (
                row["pred"] or "",
                bool(row["correct"]),
                row["output_chars"],
            )
    labels = []
    for row in rows(folder / QUESTIONS):
        found = results[row["question_id"]]
        if PRO_FAR not in found or PRO_NEAR not in found:
            continue
        options = "\n".join(f"{chr(65 + at)}. {text}" for at, text in enumerate(json.loads(row["options"])))
        labels.append(
            Label(
                id=f"pro-{row['question_id']}",
                prompt=f"{row['question']}\n{options}\nAnswer:",
                answer_type="choice",
                local=Outcome(score=found[PRO_NEAR][1], answer=found[PRO_NEAR][0], length=found[PRO_NEAR][2]),
                cloud=Outcome(score=found[PRO_FAR][1]),
                opinions=[Opinion(model=name, answer=found[name][0]) for name in opinions if name in found],
                task=row["category"],
            )
        )
    return labels


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().lower()
