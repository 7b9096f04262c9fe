"""The papers' own figures, from `papers.yaml`, and what sets our conditions apart from theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from medrestore.config import plain
from medrestore.errors import MedrestoreError

_FILE = Path(__file__).with_name("papers.yaml")
CONDITIONS = ("data", "images", "degradation", "window", "training", "weights", "scores")


class Figure(NamedTuple):
    """One number of a paper: its row, the rows of ours it may stand beside, metric, mean, SD (None = not given)."""

    row: str
    beside: tuple[str, ...]
    metric: str
    mean: float
    sd: float | None


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper.

    Attributes:
        source: where it stands: section and table.
        n: number of test images, None where the paper does not say.
        images: which test images.
        figures: its numbers, row by row.
        metric_names: other names under which our table may hold a metric, the likeliest first.
    """

    source: str
    n: int | None
    images: str
    figures: Sequence[Figure]
    metric_names: Mapping[str, Sequence[str]]

    def ours(self, metric: str, known: Sequence[str]) -> str | None:
        """The name that our table has for one of this table's metrics; None where it has none.

        A table with names of its own for a metric takes no other: PIQE of one test set is not that of another.
        """
        return next((name for name in self.metric_names.get(metric, [metric]) if name in known), None)


@dataclass(frozen=True)
class Paper:
    """A paper.

    Attributes:
        name: S1 to S5.
        title: its title.
        authors: their names.
        experiments: our experiments that follow it, the paper's own method first.
        conditions: what it says of data, images, degradation, window, training, weights and scores.
        tables: its figures.
        remarks: what a reader of these figures should know.
    """

    name: str
    title: str
    authors: str
    experiments: Sequence[str]
    conditions: Mapping[str, str]
    tables: Sequence[PaperTable]
    remarks: Sequence[str]


def paper(name: str) -> Paper:
    """One of the five papers by its short name.

    Raises:
        MedrestoreError: no such paper.
    """
    known = papers()
    if name not in known:
        raise MedrestoreError(f"about.paper={name} is not one of the papers {', '.join(known)}")
    return known[name]


@cache
def papers() -> Mapping[str, Paper]:
    """All papers by their short names."""
    content: Any = plain(OmegaConf.load(_FILE))
    return {name: _paper(name, entry) for name, entry in content.items()}


def _paper(name: str, entry: Mapping[str, Any]) -> Paper:
    return Paper(
        name=name,
        title=entry["title"],
        authors=entry["authors"],
        experiments=entry["experiments"],
        conditions=entry["conditions"],
        tables=[_table(table) for table in entry["tables"]],
        remarks=entry.get("remarks", []),
    )


def _table(entry: Mapping[str, Any]) -> PaperTable:
    figures = []
    for row, cells in entry["rows"].items():
        for metric, value in cells.items():
            if metric != "beside":
                mean, sd = (value["mean"], value["sd"]) if isinstance(value, Mapping) else (value, None)
                beside = [cells["beside"]] if isinstance(cells["beside"], str) else cells["beside"]
                figures.append(Figure(row, tuple(beside), metric, float(mean), sd))
    return PaperTable(entry["source"], entry["n"], entry["images"], figures, entry.get("metric_names", {}))


def our_conditions(
    config: Mapping[str, Any], conditions: Mapping[str, Any], counts: Mapping[str, int]
) -> dict[str, str]:
    """What a run's configuration and conditions say under the headings of `CONDITIONS`.

    Args:
        config: the run's configuration as plain containers.
        conditions: of its evaluation.
        counts: number of images by part of the split, and of all `groups`.
    """
    dataset, sampling, about = config["dataset"], config["sampling"], config["about"]
    generated = ".phantoms." in str(dataset.get("_target_"))
    size = f", {dataset['size']} pixels" if generated and "size" in dataset else ""
    operator = {k: v for k, v in config["degradation"]["operator"].items() if not isinstance(v, Mapping)}
    settings = [f"{key} {_short(value)}" for key, value in operator.items() if key != "_target_" and value is not None]
    pretrain = config.get("pretrain_epochs") or 0
    first = f" ({pretrain} of them the generator alone)" if pretrain else ""
    start = config.get("generator_weights")
    features = any("features" in term.get("term", {}) for term in (config.get("loss") or {}).values())
    backbone = f"; feature loss on a VGG19, weights: {config['feature_weights']}" if features else "; no feature loss"
    metrics = conditions.get("metrics", {})
    lpips = metrics.get("lpips", "off")
    parts = ", ".join(f"{counts[part]} {part}" for part in ("train", "val", "test") if counts.get(part))
    return {
        "data": f"{conditions['dataset']}{' (generated)' if generated else ''}{size}",
        "images": f"{parts} images of {counts.get('groups', 0)} groups, split by group",
        "degradation": ", ".join([str(operator.get("_target_", "")).rpartition(".")[2], *settings]),
        "window": "photographs as they are, or the file's own window"
        if str(conditions["window"]) == "auto"
        else str(conditions["window"]),
        "training": f"{about.get('budget')} budget: {config['epochs']} epochs{first}, batch {sampling['batch_size']}, "
        f"crops of {sampling['crop']}",
        "weights": ("trained from scratch" if start is None else f"started from {start}") + backbone,
        "scores": "whole images, PSNR peak 1, SSIM 11 x 11"
        + {"off": "", "random": "; LPIPS on a random backbone"}.get(lpips, f"; LPIPS weights: {lpips}"),
    }


def _short(value: Any) -> str:
    return " to ".join(map(str, value)) if isinstance(value, list) and len(value) == 2 else str(value)
