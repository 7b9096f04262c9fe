"""Generated street scenes seen from a car, with a class for every pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from medrestore.data.catalogue import Catalogue, Item, item_key
from medrestore.data.phantoms.generated import generated_item, numbers_of
from medrestore.data.phantoms.street_paint import FINER, paint
from medrestore.data.phantoms.street_scene import draw_camera, draw_moving, draw_street
from medrestore.data.phantoms.texture import Array
from medrestore.data.screening import Screening
from medrestore.data.seeding import seed_of
from medrestore.data.street_classes import CLASSES
from medrestore.errors import MedrestoreError
from medrestore.imaging import Image

SMALLEST = 64  # pixels; below this no sign and no person can be told
KEPT = 512  # label maps, a byte a pixel
MOST = 8  # images of a street: the last ones must still have one ahead


class StreetPhantom:
    """Source of generated street scenes: road, houses, trees, signs, people, cars with number plates.

    An image is a function of (`data_seed`, scene, image, `height`, `width`). The images of a scene are taken on one
    drive down one street, a few metres apart; people and moving cars differ. Classes have the numbers of
    `medrestore.data.street_classes`; wall, rider, truck, bus, train, motorcycle and bicycle do not occur.

    Args:
        scenes: number of streets.
        images_per_scene: images of each, at most 8.
        height: of the images in pixels, at least 64.
        width: of the images in pixels, at least 64.
        data_seed: fixes every image.

    Raises:
        MedrestoreError: when a number is out of range.
    """

    name = "street_phantom"
    screening: Screening | None = None
    classes = CLASSES

    def __init__(
        self, scenes: int = 40, images_per_scene: int = 3, height: int = 192, width: int = 320, data_seed: int = 0
    ) -> None:
        for key, value, least in (
            ("scenes", scenes, 1),
            ("images_per_scene", images_per_scene, 1),
            ("height", height, SMALLEST),
            ("width", width, SMALLEST),
        ):
            if value < least:
                raise MedrestoreError(
                    f"{key} is too small for the street phantom: {value}; type a value of at least {least}"
                )
        if images_per_scene > MOST:
            raise MedrestoreError(
                f"images_per_scene is too large for the street phantom: {images_per_scene}; the street ends after "
                f"{MOST} images, type more scenes"
            )
        self.height = height
        self.width = width
        self.data_seed = data_seed
        self._labels: dict[str, Array] = {}  # a judge in training asks for them again and again
        self._numbers = {self._key(s, i): (s, i) for s in range(scenes) for i in range(images_per_scene)}

    def catalogue(self) -> Catalogue:
        """List the images: role target, group = scene, no label; nothing is left out."""
        return Catalogue(tuple(self._item(key, scene) for key, (scene, _) in self._numbers.items()), (), ())

    def load(self, item: Item) -> Image:
        """Draw the image of `item`: pixels (3, height, width) in [0, 1] on 8-bit levels.

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        return Image(
            pixels=torch.from_numpy(self._paint(item)[0]),
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
        """None: every pixel is valid; the classes are in `annotations`."""

    def annotations(self, item: Item) -> dict[str, Tensor | str]:
        """Give the truth about `item`: `labels`, int64 (height, width), the class of every pixel.

        Raises:
            MedrestoreError: when `item` is not of this phantom.
        """
        labels = self._labels[item.key] if item.key in self._labels else self._paint(item)[1]
        return {"labels": torch.from_numpy(labels.astype(np.int64))}

    def _paint(self, item: Item) -> tuple[Array, Array]:
        scene, image = numbers_of(item, self._numbers, self.name)
        street = draw_street(self._rng(scene, 0, "street"))
        camera = draw_camera(self._rng(scene, image, "view"), street, image, FINER * self.height, FINER * self.width)
        moving = draw_moving(self._rng(scene, image, "moving"), street, camera.z)
        picture, labels = paint(self._rng(scene, image, "paint"), street, camera, moving)
        if len(self._labels) < KEPT:
            self._labels[item.key] = labels
        return picture, labels

    def _rng(
        self, scene: int, image: int, purpose: Literal["street", "view", "moving", "paint"]
    ) -> np.random.Generator:
        return np.random.default_rng(seed_of(self.name, self.data_seed, scene, image, purpose))

    def _key(self, scene: int, image: int) -> str:
        return item_key(self.name, f"{self.data_seed}/{self.height}x{self.width}/{scene}/{image}")

    def _item(self, key: str, scene: int) -> Item:
        return generated_item(key, f"scene{scene:04d}", self.name)
