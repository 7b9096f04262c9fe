"""Generated fundus photographs: clear eyes with their vessels, eyes with cataract, eyes before and after surgery."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from medrestore.data.before_after import aligned, laid_over
from medrestore.data.catalogue import Catalogue, Item, item_key
from medrestore.data.phantoms.fundus_anatomy import Camera, Eye, View, draw_camera, draw_eye, draw_view, moved
from medrestore.data.phantoms.fundus_cataract import cloud
from medrestore.data.phantoms.fundus_paint import field_of_view, recorded, retina
from medrestore.data.phantoms.fundus_vessels import draw
from medrestore.data.phantoms.generated import generated_item, numbers_of
from medrestore.data.phantoms.texture import Array
from medrestore.data.screening import Screening
from medrestore.data.seeding import seed_of
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image
from medrestore.imaging.alignment import Alignment

SMALLEST = 64  # pixels; below this no vessel but the trunks can be seen
EYES = 2
MILDEST = 0.15  # severity; a lens with less passes for clear
_CATARACT, _PAIRS = 10**6, 2 * 10**6  # numbers of the first patients of each kind, beyond all others
_KEPT = 512  # vessel maps, a byte a pixel
_GOLDEN = 0.6180339887


class FundusPhantom:
    """Source of generated fundus photographs: disc, macula, vessels, choroid, in the round field of a camera.

    An image is a function of (`data_seed`, patient, eye) and `size`; both eyes of a patient are taken with one camera.
    There are three kinds of patients, and every patient is a group:

    - clear ones (role `target`, label `clear`), with the map of their vessels;
    - those with cataract (role `source`, label `mild`, `moderate` or `severe`), clouded by nature, without truth;
    - operated ones (role `target`, label `operated`, one eye each, officially test images): `load_degraded` is the same
      eye before surgery as the camera took it then, moved by a few pixels, rolled, in other light; `load` lays the
      later photograph over it, as is done with real pairs, whose shift nobody knows.

    Args:
        clear_patients: number of patients with two clear eyes.
        cataract_patients: number of patients with two clouded eyes, evenly graded.
        pairs: number of patients with one eye before and after surgery.
        size: side of the square images in pixels, at least 64.
        data_seed: fixes every image.

    Raises:
        MedrestoreError: when a number is too small.
    """

    name = "fundus_phantom"
    screening: Screening | None = None
    field_of_view = True  # restored files are painted inside it alone

    def __init__(
        self,
        clear_patients: int = 24,
        cataract_patients: int = 24,
        pairs: int = 10,
        size: int = 384,
        data_seed: int = 0,
    ) -> None:
        for key, value, least in (
            ("clear_patients", clear_patients, 1),
            ("cataract_patients", cataract_patients, 0),
            ("pairs", pairs, 0),
            ("size", size, SMALLEST),
        ):
            if value < least:
                raise MedrestoreError(
                    f"{key} is too small for the fundus phantom: {value}; type a value of at least {least}"
                )
        self.size = size
        self.data_seed = data_seed
        self._alignments: dict[str, Alignment] = {}
        self._vessels: dict[str, Tensor] = {}  # a judge in training asks for them again and again
        two = [*range(clear_patients), *range(_CATARACT, _CATARACT + cataract_patients)]
        eyes = [(patient, eye) for patient in two for eye in range(EYES)]
        eyes += [
            (patient, int(self._rng(patient, 0, "side").integers(EYES))) for patient in range(_PAIRS, _PAIRS + pairs)
        ]
        self._numbers = {self._key(patient, eye): (patient, eye) for patient, eye in eyes}

    def catalogue(self) -> Catalogue:
        """List the images: clear eyes, eyes with cataract, operated eyes; nothing is left out."""
        items = (self._item(key, patient, eye) for key, (patient, eye) in self._numbers.items())
        return Catalogue(tuple(items), (), ())

    def load(self, item: Item) -> Image:
        """Draw the image of `item`: pixels (3, size, size) in [0, 1] on 8-bit levels, `mask` the field of view.

        Raises:
            MedrestoreError: when `item` is not of this phantom, or a pair cannot be registered.
        """
        patient, eye = self._find(item)
        clouded = self._severity(patient, eye) if item.role == "source" else 0.0
        image = self._photograph(item, self._view(patient, eye), clouded, "paint")
        if patient < _PAIRS:
            return image
        before = self.load_degraded(item)
        assert before is not None
        if item.key not in self._alignments:
            self._alignments[item.key] = aligned(before, image)
        return laid_over(before, image, self._alignments[item.key])

    def load_degraded(self, item: Item) -> Image | None:
        """Draw the same eye before surgery, None where the eye was not operated on.

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        patient, eye = self._find(item)
        if patient < _PAIRS:
            return None
        return self._photograph(item, self._before(patient, eye), self._severity(patient, eye), "before")

    def load_mask(self, item: Item) -> None:
        """None: the field of view is the mask of the image itself."""

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Give the truth about `item`.

        Returns:
            Of clear and operated eyes `vessels`, bool (1, size, size); of eyes with cataract `severity`, float32 () in
            [0, 1], of operated ones that before surgery.

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        patient, eye = self._find(item)
        truth: dict[str, Tensor | str] = {}
        if item.role == "target":
            truth["vessels"] = self._vessel_map(item)
        if patient >= _CATARACT:
            truth["severity"] = torch.tensor(self._severity(patient, eye), dtype=torch.float32)
        if patient >= _PAIRS:
            if item.key not in self._alignments:
                self.load(item)
            alignment, sides = self._alignments[item.key], (self.size, self.size)
            field = torch.from_numpy(field_of_view(self._camera(patient), self.size) >= 0.5)[None]
            truth["vessels"] = alignment.warp(self._vessel_map(item), *sides) & field & alignment.warp(field, *sides)
        return truth

    def _photograph(self, item: Item, view: View, severity: float, purpose: Literal["paint", "before"]) -> Image:
        patient, eye = self._find(item)
        camera, rng = self._camera(patient), self._rng(patient, eye, purpose)
        stop = field_of_view(camera, self.size)
        picture, vessels = retina(camera, self._eye(patient, eye), view)
        picture = picture * stop
        if purpose == "paint" and item.role == "target":
            self._keep(item, vessels.coverage, stop)
        if severity > 0:
            picture = cloud(rng, picture, stop, severity)
        return Image(
            pixels=torch.from_numpy(recorded(rng, picture)),
            spacing=None,
            unit="intensity",
            window=None,
            source=Path(self.name) / f"{item.key}.png",
            group=item.group,
            mask=torch.from_numpy(stop >= 0.5)[None],
            metadata={"format": "phantom", "bits": 8},
        )

    def _vessel_map(self, item: Item) -> Tensor:
        if item.key in self._vessels:
            return self._vessels[item.key]
        patient, eye = self._find(item)
        view = self._view(patient, eye)
        drawn = draw(self._eye(patient, eye).vessels, view.matrix, view.centre, self.size)
        return self._keep(item, drawn.coverage, field_of_view(self._camera(patient), self.size))

    def _keep(self, item: Item, coverage: Array, stop: Array) -> Tensor:
        """The map of what is vessel by more than half, kept in memory while there is room."""
        vessels = torch.from_numpy((coverage >= 0.5) & (stop >= 0.5))[None]
        if len(self._vessels) < _KEPT:
            self._vessels[item.key] = vessels
        return vessels

    def _key(self, patient: int, eye: int) -> str:
        return item_key(self.name, f"{self.data_seed}/{self.size}/{patient}/{eye}")

    def _item(self, key: str, patient: int, eye: int) -> Item:
        if patient < _CATARACT:
            return generated_item(key, f"clear{patient:04d}", self.name, "clear")
        if patient < _PAIRS:
            grade = _grade(self._severity(patient, eye))
            return generated_item(key, f"cataract{patient - _CATARACT:04d}", self.name, grade, "source")
        # Ten pairs are all that the paper has to test on; none of them may be spent on training.
        return replace(generated_item(key, f"operated{patient - _PAIRS:04d}", self.name, "operated"), split="test")

    def _find(self, item: Item) -> tuple[int, int]:
        return numbers_of(item, self._numbers, self.name)

    def _severity(self, patient: int, eye: int) -> float:
        """Even over the patients, however many there are; the eyes of one differ a little."""
        first = self._rng(0, 0, "severity").random()
        grade = MILDEST + (1 - MILDEST) * ((first + (patient % _CATARACT) * _GOLDEN) % 1)
        return float(np.clip(grade + self._rng(patient, eye, "severity").normal(0, 0.05), MILDEST, 1))

    def _camera(self, patient: int) -> Camera:
        return draw_camera(self._rng(patient, 0, "camera"))

    def _eye(self, patient: int, eye: int) -> Eye:
        return draw_eye(self._rng(patient, eye, "anatomy"), left=eye == 1)

    def _view(self, patient: int, eye: int) -> View:
        return draw_view(self._rng(patient, eye, "view"), self._camera(patient), self.size)

    def _before(self, patient: int, eye: int) -> View:
        return moved(self._view(patient, eye), self._rng(patient, eye, "moved"), self.size)

    def _rng(
        self,
        patient: int,
        eye: int,
        purpose: Literal["side", "severity", "camera", "anatomy", "view", "moved", "paint", "before"],
    ) -> np.random.Generator:
        return np.random.default_rng(seed_of(self.name, self.data_seed, patient, eye, purpose))


def _grade(severity: float) -> Literal["mild", "moderate", "severe"]:
    return "mild" if severity < 0.43 else "moderate" if severity < 0.72 else "severe"
