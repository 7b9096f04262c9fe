"""Which rows a run's table has: classical ones tuned on validation, its own networks, other trained models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf

from medrestore.checkpoint import load_generator
from medrestore.classical import Method, methods_for
from medrestore.config import build, plain
from medrestore.data.catalogue import hashed_group
from medrestore.data.module import Part, RestorationData
from medrestore.data.splits import groups_of_parts
from medrestore.errors import MedrestoreError
from medrestore.evaluation.interpolations import Interpolations, judge_interpolations
from medrestore.evaluation.learned import Learned
from medrestore.evaluation.lesion_focus import NAME, Finder, Focus, LesionFocused
from medrestore.evaluation.scoring import Track, tune_on
from medrestore.evaluation.tables import save_text
from medrestore.run_directory import Run


class Rows(NamedTuple):
    """The rows of a table, the reference first, and how the interpolations did on validation, see `Interpolations`."""

    methods: list[Method]
    interpolations: Interpolations | None


def make_rows(
    run: Run,
    config: Any,
    data: RestorationData,
    part: Part,
    baselines: Sequence[str | Path],
    detector: Finder | None,
    device: torch.device,
    track: Track,
) -> Rows:
    """All rows of a run's table: classical ones, other trained models, its own.

    Args:
        run: the run whose table it is.
        config: its configuration with the overrides of this evaluation.
        data: the images that are judged.
        part: the part of them.
        baselines: directories of other finished runs.
        detector: proposes the regions of lesion-focused models; None = what the collection marks.
        device: where networks run.
        track: shows progress.

    Raises:
        MedrestoreError: a model that cannot stand in this table, see `baseline_rows`.
    """
    memory = int(config.evaluation.memory_gb * 2**30)
    classical = classical_rows(run, config, data, track)
    interpolations = judge_interpolations(run, config, classical, data, track)
    best = classical[0].name if interpolations is None else interpolations.best
    focus = Focus(next(row for row in classical if row.name == best), detector)
    others = baseline_rows(baselines, run, data, part, memory, device, focus)
    return Rows([*classical, *others, *learned_rows(run, memory, device, focus)], interpolations)


def classical_rows(run: Run, config: Any, data: RestorationData, track: Track) -> list[Method]:
    """The reference and the classical rows, tuned once on the run's validation images; remembered in `tuned.yaml`."""
    rows = _untuned(config, data.degradation.scale)
    record = run.directory / "tuned.yaml"
    if record.exists():
        tuned = plain(OmegaConf.load(record))
        return [row.with_parameters(tuned[row.name]) if tuned.get(row.name) else row for row in rows]
    rows = tune_on(data.cases("val", config.evaluation.tune_images), rows, config.evaluation.tune_crop, track)
    chosen = {row.name: row.parameters for row in rows}
    save_text(record, OmegaConf.to_yaml(OmegaConf.create(chosen)))
    return rows


def _untuned(config: Any, scale: int) -> list[Method]:
    rows = methods_for(scale)
    if config.evaluation.get("classical") is None:
        return rows
    reference = [row for row in rows if row.kind == "reference"]
    return [*reference, *(build(node) for node in config.evaluation.classical.values() if node is not None)]


def learned_rows(run: Run, memory_bytes: int, device: torch.device, focus: Focus) -> list[Method]:
    """The run's generator as `restored`, and the one at the end of its first stage as `pretrained`.

    A generator that was trained on marked regions has another row, `lesion_focused`, in which it restores them alone.
    """
    rows: list[Method] = []
    if (run.directory / "pretrained.safetensors").exists():
        pretrained, _ = load_generator(run.directory / "pretrained.safetensors")
        rows.append(Learned("pretrained", pretrained.to(device), memory_bytes))
    generator = load_generator(run.directory)[0].to(device)
    rows.append(Learned("restored", generator, memory_bytes))
    return [*rows, LesionFocused(NAME, generator, memory_bytes, focus)] if _is_focused(run) else rows


def baseline_rows(
    baselines: Sequence[str | Path],
    run: Run,
    data: RestorationData,
    part: Part,
    memory_bytes: int,
    device: torch.device,
    focus: Focus,
) -> list[Method]:
    """Other trained models as rows of this run's table, each under its experiment's name.

    One that was trained on marked regions restores them alone, as the row `lesion_focused`.

    Args:
        baselines: directories of finished runs.
        run: the run whose table it is.
        data: the images that are judged.
        part: the part of them.
        memory_bytes: the budget of one image.
        device: where they run.
        focus: what models of marked regions need.

    Raises:
        MedrestoreError: a model for another window, scale or number of channels, or one that was trained on an image
            or patient it would be judged on.
    """
    judged = {(item.key, hashed_group(item.group)) for item in data.items(part, None)}
    rows: list[Method] = []
    for where in baselines:
        other = Run.load(where)
        generator, about = load_generator(other.directory)
        ours = {
            "sampling.window": str(run.config.sampling.window),
            "channels": str(run.config.model.generator.channels),
            "scale": str(data.degradation.scale),
        }
        theirs = {
            "sampling.window": str(other.config.sampling.window),
            "channels": str(other.config.model.generator.channels),
            "scale": str(about.get("scale", 1)),
        }
        for key in ours:
            if ours[key] != theirs[key]:
                raise MedrestoreError(
                    f"baselines: {where} was trained with {key} {theirs[key]}, run={run.directory} with {ours[key]}; "
                    "train it again with the same"
                )
        refuse_leak(other.directory, judged, f"baselines: {where}")
        name = _free_name(other, [row.name for row in rows])
        generator = generator.to(device)
        focused = LesionFocused(name, generator, memory_bytes, focus) if _is_focused(other) else None
        rows.append(focused or Learned(name, generator, memory_bytes))
    return rows


def _is_focused(run: Run) -> bool:
    return run.config.sampling.get("focus") is not None


def refuse_leak(directory: Path, judged: set[tuple[str, str]], who: str) -> None:
    """Refuse a model that has seen what it would be judged on, by the split in its directory.

    Args:
        directory: of its run.
        judged: key and hashed group of each image.
        who: the model, for the message.

    Raises:
        MedrestoreError: an image or a patient is in both.
    """
    seen = groups_of_parts(directory / "split.csv", ("train", "val"))
    keys, groups = {key for key, _ in seen}, {group for _, group in seen}
    same = keys & {key for key, _ in judged}
    if _has_files(directory):  # generated collections number their patients alike, whatever they show
        same |= groups & {group for _, group in judged}
    if same:
        raise MedrestoreError(
            f"{who} was trained on {len(same)} of the images or patients it would be judged on, e.g. {min(same)}; "
            f"train it with sampling.split.file=<split.csv of the run that is judged>"
        )


def _has_files(directory: Path) -> bool:
    return "phantoms" not in str(Run.load(directory).config.dataset.get("_target_", ""))


def _free_name(run: Run, taken: Sequence[str]) -> str:
    about = run.config.about
    name = NAME if _is_focused(run) else str(about.get("variant") or about.experiment or run.directory.name)
    name = name if name not in ("restored", "pretrained") else f"{name} of {run.directory.name}"
    return name if name not in taken else f"{name} {sum(other.startswith(name) for other in taken) + 1}"
