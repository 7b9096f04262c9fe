"""A study from a finished evaluation: which images, which rows, and every row's picture of each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from medrestore.classical import Method
from medrestore.config import overlay, plain
from medrestore.data.catalogue import Item, hashed_group
from medrestore.data.module import RestorationData
from medrestore.errors import MedrestoreError
from medrestore.evaluation.rows import Rows, make_rows
from medrestore.evaluation.scoring import MetricSettings, outputs, score_cases
from medrestore.evaluation.tables import read_conditions
from medrestore.hardware import own_device
from medrestore.judges import proposing_detector
from medrestore.progress import track
from medrestore.run import make_data
from medrestore.run_directory import Run
from medrestore.study.assemble import PRACTICE_SCENES, Scene, Settings, assemble, make_room
from medrestore.study.manifest import REFERENCE, Row, Study
from medrestore.study.stimuli import eight_bit

_VALIDATION_IMAGES = 16  # on which the best classical row is chosen
_DARK = 0.05  # of the window
_LEAST_SHOWN = 0.1  # of the pixels


def build_study(
    run: Run,
    directory: Path,
    settings: Settings,
    scenes: int,
    methods: Sequence[str] | None,
    baselines: Sequence[str | Path] = (),
) -> Study:
    """Make a study of the test images a run was evaluated on.

    Args:
        run: trained and evaluated.
        directory: of the study.
        settings: of the study.
        scenes: rated test images at most, as many patients as possible; two more are for practice. Images that show
            next to nothing, such as a slice above the head, are passed over: their versions all look alike.
        methods: names of rows; None = for super-resolution the best interpolation, `pretrained` and `restored`, else
            the reference row, the best classical one and `restored`. The hidden reference is always there.
        baselines: other finished runs as rows.

    Raises:
        MedrestoreError: the run was not evaluated, no test image has a truth, or a row is not known.
    """
    where = run.directory / "evaluation" / "conditions.json"
    if not where.is_file():
        raise MedrestoreError(f"run={run.directory} has no evaluation; type python -m medrestore.evaluate run=<it>")
    conditions = read_conditions(where)
    evaluated = set(conditions.get("keys", []))
    if not evaluated:
        raise MedrestoreError(f"the evaluation in {where.parent} has no images: evaluate the run on some")
    make_room(directory)
    config = overlay(run.config, [])
    data = make_data(config, run.directory / "split.csv")
    data.prepare("test")
    items = [item for item in data.items("test", "target") if item.key in evaluated]
    if not items:
        raise MedrestoreError(
            f"none of the {len(evaluated)} images of {where.parent} has a truth here: a hidden reference is needed"
        )
    ordered = in_order(items, settings.seed)
    wanted = min(scenes + PRACTICE_SCENES, len(ordered))
    device = own_device(config.hardware.accelerator)
    detector = proposing_detector(config.evaluation.detector, data, "test", device)
    available = make_rows(run, config, data, "test", baselines, detector, device, track)
    rows, shown = chosen_rows(available, methods, data)
    about = config.about
    told = {
        "experiment": str(about.experiment or ""),
        "budget": str(about.budget or ""),
        "paper": str(about.get("paper") or ""),
        "dataset": str(conditions.get("dataset", "")),
        "patients": str(conditions.get("patients", "known")),
        "window": str(plain(config.sampling.window)),
        "conditions": str(conditions["hash"]),
        "scale": str(data.degradation.scale),
    }
    counted = track(range(wanted), f"{len(shown) + 1} pictures a scene")
    stream = (scene for _, scene in zip(counted, _scenes(data, ordered, shown), strict=False))
    return assemble(directory, stream, rows, settings, told)


def settings_of(config: Any) -> Settings:
    """The settings of `conf/study.yaml`, checked.

    Raises:
        MedrestoreError: a value out of its range.
    """
    limits: dict[str, tuple[float, float]] = {
        "scenes": (3, 200), "repeats": (0, 1), "anchors": (0, 20), "practice": (1, 20), "raters": (1, 999),
    }  # fmt: skip
    for key, (low, high) in limits.items():
        value = config[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise MedrestoreError(f"{key}={value} is not between {low} and {high}")
    if config.crop is not None and (not isinstance(config.crop, int) or config.crop < 32):
        raise MedrestoreError(f"crop={config.crop} is not null or at least 32 pixels")
    screen = list(config.min_screen)
    if len(screen) != 2 or not all(isinstance(side, int) and 0 < side <= 10000 for side in screen):
        raise MedrestoreError(f"min_screen={screen} is not width and height in pixels; type 'min_screen=[1280,720]'")
    return Settings(
        title=str(config.title),
        question=str(config.question),
        seed=int(config.seed),
        repeats=float(config.repeats),
        anchors=int(config.anchors),
        practice=int(config.practice),
        crop=config.crop,
        raters=int(config.raters),
        min_screen=(screen[0], screen[1]),
    )


def in_order(items: Sequence[Item], seed: int) -> list[Item]:
    """Images in a seeded order: one of every group first, then a second of each, and so on."""

    def place(text: str) -> str:
        return hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "surrogateescape")).hexdigest()

    ranks: dict[str, int] = {}
    ranked: list[tuple[int, str, Item]] = []
    for item in sorted(items, key=lambda item: place(item.key)):
        rank = ranks[item.group] = ranks.get(item.group, -1) + 1
        ranked.append((rank, place(hashed_group(item.group)), item))
    return [item for _, _, item in sorted(ranked, key=lambda entry: entry[:2])]


def shows_something(target: Tensor) -> bool:
    """Whether a tenth of an image (C x H x W, 0 to 1) is brighter than a twentieth of the window."""
    return bool((target.mean(0) > _DARK).float().mean() >= _LEAST_SHOWN)


def chosen_rows(available: Rows, names: Sequence[str] | None, data: RestorationData) -> tuple[list[Row], list[Method]]:
    """The rows by name, or those that fit the task; see `build_study`.

    Raises:
        MedrestoreError: a name that is not known, or twice.
    """
    by_name = {method.name: method for method in available.methods}
    if names is not None:
        unknown = [name for name in names if name not in by_name]
        if unknown or not names or len(set(names)) < len(names):
            what = f"{', '.join(unknown)} is not one" if unknown else f"{', '.join(names) or 'nothing'} is not a choice"
            raise MedrestoreError(f"methods: {what} of {', '.join(by_name)}")
        shown = [by_name[name] for name in names]
        return [Row(method.name, method.kind, "chosen by name") for method in shown], shown
    learned = [method for method in available.methods if method.kind == "learned"]
    reference = next(method for method in available.methods if method.kind == "reference")
    classical = [method for method in available.methods if method.kind == "classical"]
    if data.degradation.scale > 1:
        found = available.interpolations
        best = (reference, "") if found is None else (by_name[found.best], "best interpolation on validation")
        rows = [best]
    else:
        rows = [(reference, "as degraded")]
        learned = [method for method in learned if method.name != "pretrained"]
        if classical:
            rows.append((best_on_validation(classical, data), "best classical row on validation"))
    rows += [(method, "") for method in learned]
    return [Row(method.name, method.kind, note) for method, note in rows], [method for method, _ in rows]


def best_on_validation(methods: Sequence[Method], data: RestorationData) -> Method:
    """The row with the highest mean PSNR on validation images, so that the test images choose nothing."""
    scores = score_cases(data.cases("val", _VALIDATION_IMAGES), methods, MetricSettings(False, "random"))
    means: dict[str, float] = {}
    for method in methods:
        found = [s.value for s in scores if s.method == method.name and s.metric == "psnr" and math.isfinite(s.value)]
        means[method.name] = sum(found) / len(found) if found else -math.inf
    return max(methods, key=lambda method: means[method.name])


def _scenes(data: RestorationData, items: Iterable[Item], methods: Sequence[Method]) -> Iterator[Scene]:
    for item in items:
        case = data.case(item)
        if case.target is None or not shows_something(case.target):
            continue
        pictures = {out.method.name: eight_bit(out.image.cpu().numpy()) for out in outputs(case, methods)}
        missing = [method.name for method in methods if method.name not in pictures]
        if missing:
            raise MedrestoreError(f"methods: {', '.join(missing)} cannot make a picture of {case.key}: no kernel known")
        yield Scene(case.key, case.group, {**pictures, REFERENCE: eight_bit(case.target.numpy())})
