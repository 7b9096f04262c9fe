"""Where each of several models is worst: its worst image restored by all of them, with the worst region enlarged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medrestore.checkpoint import load_generator
from medrestore.classical import Method, methods_for
from medrestore.data.catalogue import Item
from medrestore.data.module import RestorationData
from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Section
from medrestore.evaluation.comparison import Variant
from medrestore.evaluation.figures import Box, most_changed_box, strip
from medrestore.evaluation.learned import Learned
from medrestore.evaluation.no_reference_pictures import field_centre, repainted, zoom_side
from medrestore.evaluation.no_reference_tables import CHANGE
from medrestore.evaluation.scoring import outputs
from medrestore.metrics import psnr

REGIONS = "Where each model is worst"
MOST = 8  # models that can stand side by side
_MEMORY = 2**31  # bytes for one image


class _Image(NamedTuple):
    """One test image: the case, and what the reference row and every model make of it."""

    case: Case
    rows: Mapping[str, Tensor]


def learned_of(variants: Sequence[Variant]) -> list[Method]:
    """The generator of each model's first seed, as a row.

    Raises:
        MedrestoreError: a run has none any more.
    """
    rows: list[Method] = []
    for variant in variants:
        generator, _ = load_generator(next(iter(variant.runs.values())).directory)
        rows.append(Learned(variant.name, generator, _MEMORY))
    return rows


def worst_regions(variants: Sequence[Variant], models: Sequence[Method], data: RestorationData) -> Section:
    """A strip of all models for each model's worst image with a truth, and for the one that it repaints most.

    Worst is the image where PSNR falls most, or rises least, against the reference row; the region is the square where
    the mean error grows most. Of images without truth it is the one whose colours change most, and the square where
    they do.

    Args:
        variants: the models, with their scores of single images.
        models: rows of `learned_of`.
        data: the images that were judged.

    Raises:
        MedrestoreError: an image cannot be read any more.
    """
    reference = methods_for(data.degradation.scale)[0]
    items = {item.key: item for item in data.items("test", None)}
    restored: dict[str, _Image] = {}
    pictures, lines = [], []
    for variant in variants:
        for key, value, natural in _worst_keys(variant, reference.name):
            if key not in items:
                continue
            if key not in restored:
                restored[key] = _restored(items[key], models, reference, data)
            drawn, region = _drawn(variant.name, restored[key], reference.name)
            what = (
                f"changes colours most: by CIEDE2000 {value:.2f} in the mean, by {region:.1f} in the orange square"
                if natural
                else f"changes PSNR by {value:+.2f} dB, its lowest; in the orange square its mean absolute error is "
                f"{255 * region:+.1f} of 255 above that of '{reference.name}'"
            )
            lines.append(f"'{variant.name}', image {key}: it {what}.")
            pictures.append((drawn, f"all models on image {key}", f"{lines[-1]} Blue: the middle."))
    if not pictures:
        return Section(REGIONS, ["not available: no score of a single image that is still there"])
    seed = "The first seed of each model. Other models may be as bad elsewhere: each is shown where it is worst itself."
    return Section(REGIONS, [seed, *lines], pictures=pictures)


def _worst_keys(variant: Variant, reference: str) -> list[tuple[str, float, bool]]:
    """Key, value, and whether it is an image without truth: of the worst images of a model's first seed."""
    scores = next(iter(variant.runs.values())).scores
    before = {score.key: score.value for score in scores if score.method == reference and score.metric == "psnr"}
    ours = [score for score in scores if score.method == "restored"]
    gains = [(s.value - before[s.key], s.key) for s in ours if s.metric == "psnr" and s.key in before]
    changes = [(s.value, s.key) for s in ours if s.metric == CHANGE]
    worst = [(key, value, False) for value, key in sorted(gains)[:1]]
    return worst + [(key, value, True) for value, key in sorted(changes)[-1:]]


def _restored(item: Item, models: Sequence[Method], reference: Method, data: RestorationData) -> _Image:
    case = data.case(item, annotated=False)
    rows = {output.method.name: output.image for output in outputs(case, [reference, *models])}
    return _Image(case, rows)


def _drawn(name: str, image: _Image, reference: str) -> tuple[bytes, float]:
    """The strip, and how bad the region is: growth of the mean absolute error, or mean CIEDE2000 without a truth."""
    case, rows = image
    before, after = rows[reference], rows[name]
    inside = torch.ones_like(before[:1], dtype=torch.bool) if case.mask is None else case.mask
    size = zoom_side(before)
    if case.target is None:
        box, value = repainted(before, after, inside, size)
        captions = {row: "" for row in rows}
    else:
        growth = ((after - case.target).abs() - (before - case.target).abs()) * inside
        box = _largest_growth(growth, size)
        value = float(growth[:, box.top : box.top + box.height, box.left : box.left + box.width].mean())
        mask = None if case.mask is None else case.mask[None]
        captions = {
            row: f"{float(psnr(shown[None], case.target[None], mask=mask)):.2f} dB" for row, shown in rows.items()
        }
    shown = {**rows} if case.target is None else {**rows, "target": case.target}
    return strip(shown, [box, field_centre(before, inside, size)], captions), value


def _largest_growth(growth: Tensor, size: int) -> Box:
    """The square with the largest mean; differences to the least value keep the order and are all positive."""
    plane = growth.mean(dim=0, keepdim=True)
    return most_changed_box(plane, torch.full_like(plane, float(plane.min())), size)
