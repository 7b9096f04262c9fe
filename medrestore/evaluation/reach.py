"""How long one training takes to reach what another ended with: the paper's claim of saved time, measured."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import Section, Table
from medrestore.evaluation.comparison import Variant

History = Sequence[Mapping[str, float]]


class Reach(NamedTuple):
    """One training held against the end of another.

    `target` is the other's last validation value; `epoch`, `steps` (updates of the generator) and `seconds` are where
    this training first has it, None where it never does; `final`, `all_steps`, `all_seconds` are its own end. Seconds
    are None where the history has none.
    """

    target: float
    epoch: int | None
    steps: int | None
    seconds: float | None
    final: float
    all_steps: int
    all_seconds: float | None


def read_history(path: Path) -> list[dict[str, float]]:
    """Read `metrics.csv`: one mapping a row, without empty fields.

    Raises:
        MedrestoreError: there is no such file.
    """
    if not path.is_file():
        raise MedrestoreError(f"There is no '{path}': how long the training took is not known")
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def time_to_reach(history_a: History, history_b: History, metric: str = "val/psnr") -> tuple[Reach, Reach] | None:
    """Minutes and steps that each of two trainings needs to reach the other's final validation value.

    Known to one validation, which is one epoch. The value reached counts even if it is lost again later.

    Args:
        history_a: rows of `metrics.csv`, in order; `seconds` is the training time so far.
        history_b: those of the other training.
        metric: a validation metric of which more is better.

    Returns:
        What `a` needs for the end of `b`, and `b` for that of `a`; None where one was never validated.
    """
    points = [
        [row for row in history if math.isfinite(row.get(metric, math.nan))] for history in (history_a, history_b)
    ]
    if not all(points):
        return None
    a, b = points
    return _reach(a, b[-1][metric], metric), _reach(b, a[-1][metric], metric)


def _reach(points: History, target: float, metric: str) -> Reach:
    first = next((row for row in points if row[metric] >= target), None)
    last = points[-1]
    return Reach(
        target=target,
        epoch=None if first is None else int(first["epoch"]) + 1,
        steps=None if first is None else steps_of(first),
        seconds=None if first is None else first.get("seconds"),
        final=last[metric],
        all_steps=steps_of(last),
        all_seconds=last.get("seconds"),
    )


def steps_of(row: Mapping[str, float]) -> int:
    """Updates of the generator at a row of `metrics.csv`."""
    # the logger counts batches from 0; the counter of the scheme is exact where it is logged
    return int(row.get("generator_updates", row["step"] + 1))


def times(variants: Sequence[Variant], base: Variant | None = None) -> list[Section]:
    """The section about trainings of one experiment that differ in how long the generator goes first; may be none.

    Args:
        variants: the models.
        base: held against every other; None holds all against all.
    """
    rows: list[list[str]] = []
    text: list[str] = []
    for index, a in enumerate(variants):
        for b in variants[index + 1 :]:
            same = a.config["about"].get("experiment") == b.config["about"].get("experiment")
            apart = a.config.get("pretrain_epochs") != b.config.get("pretrain_epochs")
            if not same or not apart or base not in (None, a, b):
                continue
            found: dict[int, tuple[Reach, Reach]] = {}
            for seed in [seed for seed in a.runs if seed in b.runs]:
                histories = [read_history(variant.runs[seed].directory / "metrics.csv") for variant in (a, b)]
                reached = time_to_reach(histories[0], histories[1])
                if reached is not None:
                    found[seed] = reached
            for ours, theirs, side in ((a, b, 0), (b, a, 1)):
                rows += [_row(ours.name, theirs.name, seed, both[side]) for seed, both in found.items()]
                text.append(_sentence(ours.name, theirs.name, [(p[side], p[1 - side]) for p in found.values()]))
    if not text:
        return []
    header = ["row", "seed", "final PSNR", "steps", "minutes", "PSNR to reach", "after steps", "after minutes"]
    explained = (
        "PSNR on whole validation images, known to one epoch; steps are updates of the generator; minutes are those of "
        "the machine each ran on, so they compare only where that was the same and did nothing else."
    )
    title = "Time to reach the other's end: how long the generator goes first"
    return [Section(title, [explained, *text], [Table("", header, rows)])]


def _row(name: str, other: str, seed: int, reach: Reach) -> list[str]:
    steps = "never" if reach.steps is None else f"{reach.steps} (epoch {reach.epoch})"
    after = _minutes(reach.seconds) if reach.steps is not None else "never"
    own = [f"{reach.final:.2f} dB", str(reach.all_steps), _minutes(reach.all_seconds)]
    return [name, str(seed), *own, f"{reach.target:.2f} dB ({other})", steps, after]


def _sentence(name: str, other: str, pairs: Sequence[tuple[Reach, Reach]]) -> str:
    """`pairs` are (this one, the other) by seed."""
    if not pairs:
        return f"'{name}' and '{other}' have no seed in common that was validated in both."
    there = [(ours, theirs) for ours, theirs in pairs if ours.steps is not None]
    if not there:
        return f"'{name}' never reaches the final PSNR of '{other}' (0 of {len(pairs)} seeds)."
    steps = math.fsum(ours.steps or 0 for ours, _ in there) / len(there)
    all_steps = math.fsum(theirs.all_steps for _, theirs in there) / len(there)
    text = f"'{name}' reaches the final PSNR of '{other}' with {len(there)} of {len(pairs)} seeds, on average after "
    text += f"{steps:.0f} steps where '{other}' took {all_steps:.0f}"
    seconds = [(ours.seconds, theirs.all_seconds) for ours, theirs in there]
    if all(a is not None and b is not None for a, b in seconds):
        mean = [math.fsum(pair[side] or 0.0 for pair in seconds) / len(seconds) for side in (0, 1)]
        return f"{text}, {mean[0] / 60:.1f} minutes where it took {mean[1] / 60:.1f}."
    return f"{text}; minutes were not recorded."


def _minutes(seconds: float | None) -> str:
    return "not recorded" if seconds is None else f"{seconds / 60:.1f}"
