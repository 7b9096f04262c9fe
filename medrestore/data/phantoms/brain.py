"""Generated MR slices of the head: patients with and without a tumour, and slices that show no brain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from medrestore.data.catalogue import Catalogue, Item, item_key
from medrestore.data.phantoms.brain_head import APEX, LEVELS, draw_head, paint_brain, paint_shell
from medrestore.data.phantoms.brain_scan import draw_protocol, scan
from medrestore.data.phantoms.brain_tumours import KINDS, Kind, draw_tumour, paint_tumour
from medrestore.data.phantoms.generated import generated_item, numbers_of
from medrestore.data.phantoms.section import Canvas
from medrestore.data.phantoms.texture import Array
from medrestore.data.screening import Screening, switched
from medrestore.data.seeding import seed_of
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image

Content = Literal["brain", "apex", "empty", "noise"]
POOR: tuple[Content, ...] = ("apex", "empty", "noise")
SMALLEST = 64  # pixels; below this the furrows are lost
_GOLDEN = (math.sqrt(5) - 1) / 2
_POOR = 10**6  # number of a patient's first slice without brain, beyond all others


@dataclass(frozen=True, slots=True)
class Slice:
    """A painted slice before the scanner: values (H, W), and the masks of cavity and tumour, bool (H, W)."""

    values: Array
    cavity: Array
    tumour: Array


class BrainPhantom:
    """Source of generated axial MR slices of the head, T1-weighted after contrast medium, in whole numbers of 12 bits.

    An image is a function of (`data_seed`, patient, slice) and `size`; a patient's slices are sections of one anatomy
    at levels that fill the brain evenly, however many they are. Of the patients 3k, 3k + 1 and 3k + 2 one has a glioma,
    one a meningioma, one no tumour: the label, also of slices that do not meet the tumour.

    Further slices of each patient show no brain, as every real series has them, and are what a screening drops: the
    apex (scalp and skull alone), air with a trace of the head at its border, or mere noise; of three patients' slices
    of one number there is one of each. All slices of a patient have the window that the scanner suggests.

    Contrast and sharpness are those of real slices (J. Cheng, figshare 1512427): the power spectrum falls alike, and
    shrinking by 4 and enlarging again, both bicubic, leaves 31 dB in place of their 34.

    Args:
        patients: number of patients.
        slices_per_patient: slices through the brain of each.
        poor_slices_per_patient: slices without brain of each; 0 for none.
        size: side of the square images in pixels, at least 64; the field of view stays the same.
        data_seed: fixes every image.
        screen: whether slices with little detail are left out.
        screening: how; None for the defaults of `Screening`.

    Raises:
        MedrestoreError: when a number is too small.
    """

    name = "brain_phantom"

    def __init__(
        self,
        patients: int = 36,
        slices_per_patient: int = 3,
        poor_slices_per_patient: int = 1,
        size: int = 240,
        data_seed: int = 0,
        screen: bool = False,
        screening: Screening | None = None,
    ) -> None:
        for key, value, least in (
            ("patients", patients, 1),
            ("slices_per_patient", slices_per_patient, 1),
            ("poor_slices_per_patient", poor_slices_per_patient, 0),
            ("size", size, SMALLEST),
        ):
            if value < least:
                raise MedrestoreError(
                    f"{key} is too small for the brain phantom: {value}; type a value of at least {least}"
                )
        self.size = size
        self.data_seed = data_seed
        self.screening = switched(screen, screening)
        slices = [*range(slices_per_patient), *range(_POOR, _POOR + poor_slices_per_patient)]
        self._numbers = {self._key(p, i): (p, i) for p in range(patients) for i in slices}

    def catalogue(self) -> Catalogue:
        """List the slices: role target, group = patient, label = kind of tumour; nothing is left out."""
        items = [
            generated_item(key, f"patient{patient:04d}", self.name, self._kind(patient))
            for key, (patient, _) in self._numbers.items()
        ]
        return Catalogue(tuple(items), (), ())

    def load(self, item: Item) -> Image:
        """Draw the slice of `item`: pixels (1, size, size) in whole numbers from 0 to 4095.

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        patient, number = numbers_of(item, self._numbers, self.name)
        protocol = draw_protocol(self._rng(patient, 0, "protocol"))
        pixels = scan(self._rng(patient, number, "noise"), self._slice(patient, number).values, protocol)
        return Image(
            pixels=torch.from_numpy(pixels)[None],
            spacing=(protocol.field / self.size, protocol.field / self.size),
            unit="signal",
            window=protocol.window,
            source=Path(self.name) / f"{item.key}.dcm",
            group=item.group,
            mask=None,
            metadata={"format": "phantom", "bits": 16, "modality": "MR"},
        )

    def load_degraded(self, item: Item) -> None:
        """None: the phantom has no real degraded partner."""

    def load_mask(self, item: Item) -> Tensor | None:
        """Give the tumour, bool (1, size, size), without the swelling around it; None where the slice misses it.

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        patient, number = numbers_of(item, self._numbers, self.name)
        if self._kind(patient) == "none" or self._content(patient, number) != "brain":
            return None
        tumour = self._slice(patient, number).tumour
        return torch.from_numpy(tumour)[None] if tumour.any() else None

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Give the truth about `item`.

        Returns:
            `label`: "glioma", "meningioma" or "none", of the patient; `content`: "brain", or "apex", "empty" or "noise"
            for the slices that a screening drops.

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        patient, number = numbers_of(item, self._numbers, self.name)
        return {"label": self._kind(patient), "content": self._content(patient, number)}

    def _key(self, patient: int, number: int) -> str:
        return item_key(self.name, f"{self.data_seed}/{self.size}/{patient}/{number}")

    def _kind(self, patient: int) -> Kind:
        return KINDS[int(self._rng(patient // 3, 0, "label").permutation(3)[patient % 3])]

    def _content(self, patient: int, number: int) -> Content:
        if number < _POOR:
            return "brain"
        return POOR[int(self._rng(patient // 3, number, "content").permutation(3)[patient % 3])]

    def _slice(self, patient: int, number: int) -> Slice:
        """Paint a slice; the generator is the patient's, so that all slices show one anatomy."""
        content = self._content(patient, number)
        rng = self._rng(patient, 0, "anatomy")
        field = draw_protocol(self._rng(patient, 0, "protocol")).field
        level = _level(rng, number) if content == "brain" else self._rng(patient, number, "level").uniform(*APEX)
        off = rng.normal(0, 3, 2).tolist()
        if content == "empty":  # the head ends just outside the field of view
            off = [0.0, 0.62 * field]
        canvas = Canvas(rng, self.size, field / self.size, (off[0], off[1]), level, 0.0)
        nothing = np.zeros_like(canvas.values, dtype=bool)
        if content == "noise":
            return Slice(canvas.values, nothing, nothing)
        head = draw_head(rng)
        tumour = draw_tumour(rng, head, self._kind(patient))
        cavity = paint_shell(head, canvas)
        if content != "brain":
            return Slice(canvas.values, nothing, nothing)
        paint_brain(head, canvas, cavity)
        found = nothing if tumour is None else paint_tumour(tumour, canvas, cavity)
        return Slice(canvas.values, cavity.depth > 0, found)

    def _rng(
        self,
        patient: int,
        number: int,
        purpose: Literal["label", "content", "anatomy", "protocol", "level", "noise"],
    ) -> np.random.Generator:
        return np.random.default_rng(seed_of(self.name, self.data_seed, patient, number, purpose))


def _level(rng: np.random.Generator, number: int) -> float:
    """Level of a slice in mm: steps of the golden ratio fill the brain evenly, whatever their number."""
    low, high = LEVELS
    return low + (high - low) * ((rng.random() + _GOLDEN * number) % 1)
