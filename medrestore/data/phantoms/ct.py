"""Generated axial CT slices in HU: chest, abdomen and head of patients of several slices, with fine structure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from medrestore.data.catalogue import Catalogue, Item, item_key
from medrestore.data.phantoms import ct_abdomen, ct_chest, ct_head
from medrestore.data.phantoms.ct_scan import draw_protocol, scan, table
from medrestore.data.phantoms.ct_tissues import AIR
from medrestore.data.phantoms.ct_torso import draw_build
from medrestore.data.phantoms.generated import generated_item, numbers_of
from medrestore.data.phantoms.section import Canvas
from medrestore.data.screening import Screening, switched
from medrestore.data.seeding import seed_of
from medrestore.errors import MedrestoreError
from medrestore.imaging import WINDOWS, Image

Region = Literal["chest", "abdomen", "head"]
REGIONS: tuple[Region, ...] = ("chest", "abdomen", "head")
SMALLEST = 64  # pixels; below this ribs and vessels are lost
STEP = 5.0  # mm from slice to slice
_LEVELS = {"chest": ct_chest.LEVELS, "abdomen": ct_abdomen.LEVELS, "head": ct_head.LEVELS}


class CTPhantom:
    """Source of generated axial CT slices in whole HU, 5 mm apart.

    An image is a function of (`data_seed`, patient, slice) and `size`; a patient's slices are sections of one anatomy.
    Of the patients 3k, 3k + 1 and 3k + 2 one shows the chest, one the abdomen, one the head: the label. Two of three
    scanners leave the corners outside the round field of view unmeasured: there the mask is False and the pixels hold
    the smallest valid value. Beyond the last level of a region the slices go back.

    HU of tissues after Kalender, Computed Tomography, 3rd ed. 2011, section 1.2; the noise's spectrum rises as the ramp
    filter and ends with the reconstruction kernel, its size is that of routine scans on so coarse a grid.

    Args:
        patients: number of patients.
        slices_per_patient: slices of each.
        size: side of the square images in pixels, at least 64; the field of view stays the same.
        data_seed: fixes every image.
        screen: whether slices with little detail are left out.
        screening: how; None for the defaults of `Screening`.

    Raises:
        MedrestoreError: when a number is too small.
    """

    name = "ct_phantom"

    def __init__(
        self,
        patients: int = 24,
        slices_per_patient: int = 6,
        size: int = 256,
        data_seed: int = 0,
        screen: bool = False,
        screening: Screening | None = None,
    ) -> None:
        for key, value, least in (
            ("patients", patients, 1),
            ("slices_per_patient", slices_per_patient, 1),
            ("size", size, SMALLEST),
        ):
            if value < least:
                raise MedrestoreError(
                    f"{key} is too small for the CT phantom: {value}; type a value of at least {least}"
                )
        self.size = size
        self.data_seed = data_seed
        self.screening = switched(screen, screening)
        self._numbers = {self._key(p, i): (p, i) for p in range(patients) for i in range(slices_per_patient)}

    def catalogue(self) -> Catalogue:
        """List the slices: role target, group = patient, label = region; nothing is left out."""
        return Catalogue(tuple(self._item(key, patient) for key, (patient, _) in self._numbers.items()), (), ())

    def load(self, item: Item) -> Image:
        """Draw the slice of `item`: pixels (1, size, size) in whole HU from -1024 to 3071.

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        patient, number = self._find(item)
        region = self._region(patient)
        anatomy = self._rng(patient, 0, "anatomy")
        off_x, off_y = anatomy.normal((0, 0 if region == "head" else -8), 4).tolist()
        build = draw_build(anatomy)
        protocol = draw_protocol(anatomy, build.width, region == "head")
        spacing = protocol.field / self.size
        canvas = Canvas(anatomy, self.size, spacing, (off_x, off_y), _level(anatomy, region, number), AIR)
        table(canvas, build.depth if region != "head" else 96.0, region == "head")
        if region == "chest":
            ct_chest.paint_chest(anatomy, canvas, build)
        elif region == "abdomen":
            ct_abdomen.paint_abdomen(anatomy, canvas, build)
        else:
            ct_head.paint_head(anatomy, canvas, build.age)
        pixels, valid = scan(self._rng(patient, number, "noise"), canvas, protocol)
        return Image(
            pixels=torch.from_numpy(pixels)[None],
            spacing=(spacing, spacing),
            unit="HU",
            window=WINDOWS["soft_tissue"],
            source=Path(self.name) / f"{item.key}.dcm",
            group=item.group,
            mask=None if valid is None else torch.from_numpy(valid)[None],
            metadata={"format": "phantom", "bits": 16},
        )

    def load_degraded(self, item: Item) -> None:
        """None: the phantom has no real degraded partner."""

    def load_mask(self, item: Item) -> None:
        """None: no region of interest; what lies outside the field of view is in the image's own mask."""

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Give `label`: "chest", "abdomen" or "head".

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        return {"label": self._region(self._find(item)[0])}

    def _key(self, patient: int, number: int) -> str:
        return item_key(self.name, f"{self.data_seed}/{self.size}/{patient}/{number}")

    def _item(self, key: str, patient: int) -> Item:
        return generated_item(key, f"patient{patient:04d}", self.name, self._region(patient))

    def _find(self, item: Item) -> tuple[int, int]:
        return numbers_of(item, self._numbers, self.name)

    def _region(self, patient: int) -> Region:
        return REGIONS[int(self._rng(patient // 3, 0, "label").permutation(3)[patient % 3])]

    def _rng(self, patient: int, number: int, purpose: Literal["label", "anatomy", "noise"]) -> np.random.Generator:
        return np.random.default_rng(seed_of(self.name, self.data_seed, patient, number, purpose))


def _level(rng: np.random.Generator, region: Region, number: int) -> float:
    """Level of a slice in mm: from a start that differs between patients through the region and back again."""
    low, high = _LEVELS[region]
    at = rng.uniform(0, 2 * (high - low)) + STEP * number
    at %= 2 * (high - low)
    return low + min(at, 2 * (high - low) - at)
