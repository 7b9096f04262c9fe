"""Generated colposcopy-like photographs with patients, lesion boxes and a normal/abnormal label, some blurred."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from skimage.measure import label
from torch import Tensor

from medrestore.data.catalogue import Catalogue, Item, item_key
from medrestore.data.phantoms.cervix_anatomy import Patient, View, draw_patient, draw_view
from medrestore.data.phantoms.cervix_paint import paint
from medrestore.data.phantoms.generated import generated_item, numbers_of
from medrestore.data.phantoms.natural_blur import blur_by_nature
from medrestore.data.screening import Screening
from medrestore.data.seeding import seed_of
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image

SMALLEST = 64  # pixels; below this there is no room for a lesion with its pattern
_NATURAL = 10**6  # number of the first patient of the natural set, beyond all others; even, so that labels balance


class CervixPhantom:
    """Source of generated cervix photographs: mucosa, os, vessels, wet highlights, and aceto-white lesions.

    An image is a function of (`data_seed`, patient, image) and `size`; a patient's images are views of one anatomy.
    Of the patients 2k and 2k + 1 one is abnormal, and each of its images shows at least one lesion. Other patients,
    balanced in the same way, make the natural set: their images are out of focus and moved (`natural_blur`), and no
    sharp one is known.

    Args:
        patients: number of patients.
        images_per_patient: images of each.
        size: side of the square images in pixels, at least 64.
        data_seed: fixes every image.
        natural_patients: number of patients of the natural set; 0 for none.

    Raises:
        MedrestoreError: when a number is too small.
    """

    name = "cervix_phantom"
    screening: Screening | None = None

    def __init__(
        self,
        patients: int = 40,
        images_per_patient: int = 3,
        size: int = 256,
        data_seed: int = 0,
        natural_patients: int = 8,
    ) -> None:
        for key, value, least in (
            ("patients", patients, 1),
            ("images_per_patient", images_per_patient, 1),
            ("size", size, SMALLEST),
            ("natural_patients", natural_patients, 0),
        ):
            if value < least:
                raise MedrestoreError(
                    f"{key} is too small for the cervix phantom: {value}; type a value of at least {least}"
                )
        self.size = size
        self.data_seed = data_seed
        everyone = [*range(patients), *range(_NATURAL, _NATURAL + natural_patients)]
        self._numbers = {self._key(p, i): (p, i) for p in everyone for i in range(images_per_patient)}

    def catalogue(self) -> Catalogue:
        """List the images: group = patient, label normal or abnormal; nothing is left out.

        The role is target, and source in the natural set, which comes last.
        """
        return Catalogue(tuple(self._item(key, patient) for key, (patient, _) in self._numbers.items()), (), ())

    def load(self, item: Item) -> Image:
        """Draw the image of `item`: pixels (3, size, size) in [0, 1] on 8-bit levels.

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        patient, view = self._scene(item)
        number, image = self._find(item)
        pixels = torch.from_numpy(paint(self._rng(number, image, "paint"), patient, view))
        if number >= _NATURAL:
            pixels = blur_by_nature(self._rng(number, image, "blur"), pixels)
        return Image(
            pixels=pixels,
            spacing=None,
            unit="intensity",
            window=None,
            source=Path(self.name) / f"{item.key}.png",
            group=item.group,
            mask=None,
            metadata={"format": "phantom", "bits": 8},
        )

    def load_degraded(self, item: Item) -> None:
        """None: the phantom has no real degraded partner."""

    def load_mask(self, item: Item) -> None:
        """None: every pixel is valid; the lesions are in `annotations`."""

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Give the truth about `item`.

        Returns:
            `boxes`: (k, 4) float32 x0, y0, x1, y1 in pixels, x1 and y1 exclusive, one for each part of the mask;
            `label`: "normal" or "abnormal"; `lesion_mask`: bool (1, size, size).

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        mask = self._scene(item)[1].lesion
        spans = ndimage.find_objects(np.asarray(label(mask)))
        boxes = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in spans]
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "label": item.label,
            "lesion_mask": torch.from_numpy(mask)[None],
        }

    def _key(self, patient: int, image: int) -> str:
        return item_key(self.name, f"{self.data_seed}/{self.size}/{patient}/{image}")

    def _item(self, key: str, patient: int) -> Item:
        if patient < _NATURAL:
            return generated_item(key, f"patient{patient:04d}", self.name, self._label(patient))
        return generated_item(key, f"natural{patient - _NATURAL:04d}", self.name, self._label(patient), "source")

    def _find(self, item: Item) -> tuple[int, int]:
        return numbers_of(item, self._numbers, self.name)

    def _label(self, patient: int) -> Literal["normal", "abnormal"]:
        first_is_abnormal = self._rng(patient // 2, 0, "label").random() < 0.5
        return "abnormal" if first_is_abnormal == (patient % 2 == 0) else "normal"

    def _rng(
        self, patient: int, image: int, purpose: Literal["label", "anatomy", "view", "paint", "blur"]
    ) -> np.random.Generator:
        return np.random.default_rng(seed_of(self.name, self.data_seed, patient, image, purpose))

    def _scene(self, item: Item) -> tuple[Patient, View]:
        number, image = self._find(item)
        patient = draw_patient(self._rng(number, 0, "anatomy"), self.size, self._label(number) == "abnormal")
        return patient, draw_view(self._rng(number, image, "view"), patient, self.size)
