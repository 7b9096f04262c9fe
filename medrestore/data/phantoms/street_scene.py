"""What stands along a phantom street, and the camera that looks down it.

World coordinates are metres: x to the right of the road's middle, y up from the ground, z along the street.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from medrestore.data.phantoms.street_font import DIGITS, LETTERS, lettering
from medrestore.data.phantoms.texture import Array, spectral_noise

END = 140.0  # where the street ends
MAP = 256  # side of the periodic noise maps
_SHOPS = (
    "BAKERY",
    "HOTEL",
    "CAFE 24",
    "BOOKS",
    "PHARMACY",
    "MARKET",
    "BANK",
    "PIZZA",
    "CINEMA",
    "SCHOOL",
    "OPTIK",
    "BAR",
)
_TOWNS = ("NORTH 12", "CENTRE 3", "STATION", "AIRPORT 8", "HARBOUR", "MUSEUM 2")


@dataclass(frozen=True, slots=True)
class Row:
    """The houses of one side, in order; every second entry of `edges` to the next is a house, the others are gaps."""

    edges: Array  # (2 n,) z: begin and end of each house
    heights: Array  # (n,)
    colours: Array  # (n, 3)
    floors: Array  # (n,) height of a floor
    bays: Array  # (n,) distance of windows
    windows: Array  # (n, 2) width and height of a window as part of its bay and floor
    courses: Array  # (n,) depth of the horizontal joints, 0 for plaster
    signs: tuple[Array, ...]  # lettering above the shops
    sign_colours: Array  # (n, 3)


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stands in the street: where, how large, which colour; `text` is lettering on it."""

    kind: Literal["tree", "lamp", "light", "limit", "stop", "board", "person", "car", "oncoming"]
    x: float
    z: float
    size: float
    colour: Array
    text: Array
    seed: int


@dataclass(frozen=True, slots=True)
class Street:
    """What the images of one scene share."""

    road: float  # half the width of the road
    front: float  # distance of the houses from the middle
    verge: float  # width of the grass between kerb and pavement
    zebra: float  # z of a crossing
    tone: Array  # (3,) colour of the light
    sun: int  # side that the sun shines from, 1 or -1; 0 = overcast
    haze: Array  # (3,)
    cover: float  # how cloudy the sky is
    asphalt: float
    rows: tuple[Row, Row]  # left, right
    things: tuple[Thing, ...]
    grain: Array  # (MAP, MAP) fine texture
    clouds: Array  # (MAP, MAP) coarse texture


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the picture is taken from; a ray is (right, -down, forth) for a step of 1 m along the camera's axis."""

    x: float
    y: float
    z: float
    focal: float  # pixels
    right: Array  # (W,)
    forth: Array  # (W,)
    down: Array  # (H,)


def draw_street(rng: np.random.Generator) -> Street:
    """Draw one street with all that does not move."""
    road, verge = rng.uniform(3.6, 5.6), float(rng.choice((0.0, 1.4)))
    front = road + verge + rng.uniform(2.2, 4.0)
    sun = int(rng.choice((-1, 0, 1)))
    return Street(
        road=road,
        front=front,
        verge=verge,
        zebra=rng.uniform(7, 22),
        tone=rng.normal(1, (0.02, 0.01, 0.035)).astype(np.float32) * np.float32(rng.uniform(0.9, 1.08)),
        sun=sun,
        haze=np.array((0.74, 0.79, 0.86), np.float32) * np.float32(rng.uniform(0.9, 1.1)),
        cover=rng.uniform(-0.6, 0.6) if sun else rng.uniform(0.8, 1.6),
        asphalt=rng.uniform(0.3, 0.46),
        rows=(_row(rng), _row(rng)),
        things=tuple(_standing(rng, road, verge, front)),
        grain=spectral_noise(rng, MAP, 0.35),
        clouds=spectral_noise(rng, MAP, 1.5),
    )


def _row(rng: np.random.Generator) -> Row:
    edges, z = [], -25.0
    while z < END:
        width = rng.uniform(9, 24)
        edges += [z, z + width]
        z += width + (rng.uniform(2, 7) if rng.random() < 0.45 else 0.0)
    count = len(edges) // 2
    shades = np.array(
        [(0.66, 0.42, 0.34), (0.78, 0.70, 0.56), (0.62, 0.61, 0.58), (0.80, 0.77, 0.72), (0.55, 0.47, 0.42),
         (0.72, 0.58, 0.40)],
        np.float32,
    )  # fmt: skip
    paints = np.array([(0.12, 0.2, 0.5), (0.6, 0.1, 0.1), (0.1, 0.35, 0.2), (0.15, 0.15, 0.16)], np.float32)
    return Row(
        edges=np.array(edges, np.float32),
        heights=rng.uniform(6.5, 17, count).astype(np.float32),
        colours=shades[rng.integers(len(shades), size=count)] * rng.uniform(0.8, 1.15, (count, 1)).astype(np.float32),
        floors=rng.uniform(2.8, 3.5, count).astype(np.float32),
        bays=rng.uniform(1.5, 3.2, count).astype(np.float32),
        windows=rng.uniform((0.38, 0.45), (0.62, 0.66), (count, 2)).astype(np.float32),
        courses=np.where(rng.random(count) < 0.5, rng.uniform(0.05, 0.16, count), 0).astype(np.float32),
        signs=tuple(lettering(str(rng.choice(_SHOPS))) for _ in range(count)),
        sign_colours=paints[rng.integers(len(paints), size=count)],
    )


def plate(rng: np.random.Generator) -> Array:
    """Lettering of a number plate."""
    letters, digits = rng.choice(list(LETTERS), 3), rng.choice(list(DIGITS), 3)
    return lettering(f"{letters[0]}{letters[1]}{letters[2]} {digits[0]}{digits[1]}{digits[2]}")


def _standing(rng: np.random.Generator, road: float, verge: float, front: float) -> list[Thing]:
    """Trees, lamps, signs and parked cars."""
    things: list[Thing] = []
    edge = road + max(0.6, verge / 2)
    board = np.array([(0.05, 0.2, 0.55), (0.05, 0.38, 0.2)], np.float32)

    def stand(kind: str, side: int, z: float, off: float = 0.0, size: float = 1.0, text: str = " ") -> None:
        colour = board[rng.integers(2)] if kind == "board" else car_colour(rng)
        page = plate(rng) if kind == "car" else lettering(text)
        things.append(Thing(kind, side * (edge + off), z, size, colour, page, int(rng.integers(2**31))))  # type: ignore[arg-type]

    for side in (-1, 1):
        green = rng.random() < 0.75
        z = rng.uniform(4, 12)
        while green and z < END:
            stand("tree", side, z, size=rng.uniform(0.7, 1.25))
            z += rng.uniform(7, 20)
        for z in np.arange(rng.uniform(6, 24), END, 26):
            stand("lamp", side, float(z), off=-0.25)
        for kind, near, far in (("limit", 9, 20), ("board", 10, 24), ("stop", 16, 34), ("limit", 24, 50)):
            if rng.random() < 0.6:
                text = {"limit": str(rng.choice(("30", "50", "60"))), "board": str(rng.choice(_TOWNS)), "stop": "STOP"}
                stand(kind, side, rng.uniform(near, far), off=rng.uniform(-0.3, 0.1), text=text[kind])
        stand("light", side, rng.uniform(14, 40), off=-0.2)
        z = rng.uniform(5, 14)
        while z < 70 and rng.random() < 0.85:
            stand("car", side, z, off=road - 1.05 - edge, size=rng.uniform(0.92, 1.12))
            z += rng.uniform(5.5, 18)
    return things


def car_colour(rng: np.random.Generator) -> Array:
    """Paint of a car; clothes as well."""
    paints = (
        (0.75, 0.76, 0.78),
        (0.08, 0.08, 0.09),
        (0.55, 0.08, 0.08),
        (0.1, 0.2, 0.42),
        (0.4, 0.42, 0.44),
        (0.9, 0.9, 0.9),
    )
    return np.array(paints[rng.integers(len(paints))], np.float32)


def draw_moving(rng: np.random.Generator, street: Street, z: float) -> list[Thing]:
    """Draw the cars on the road and the people of one image, seen from `z`."""
    things: list[Thing] = []
    lane = 0.45 * street.road
    seeds = iter(rng.integers(2**31, size=32).tolist())
    if rng.random() < 0.75:
        distance = 5.2 + rng.exponential(7)
        things.append(
            Thing("car", lane, z + distance, rng.uniform(0.95, 1.1), car_colour(rng), plate(rng), next(seeds))
        )
    for distance in np.cumsum(8 + rng.exponential(14, int(rng.integers(0, 4)))).tolist():
        things.append(
            Thing("oncoming", -lane, z + distance, rng.uniform(0.95, 1.1), car_colour(rng), plate(rng), next(seeds))
        )
    for _ in range(int(rng.integers(2, 8))):
        x = float(rng.choice((-1, 1))) * rng.uniform(street.road + street.verge + 0.5, street.front - 0.4)
        distance = 4.5 + rng.exponential(9)
        things.append(
            Thing("person", x, z + distance, rng.uniform(1.55, 1.88), car_colour(rng), lettering(" "), next(seeds))
        )
    return things


def draw_camera(rng: np.random.Generator, street: Street, image: int, height: int, width: int) -> Camera:
    """Draw the place of image number `image`, one drive down the street; `height` and `width` in pixels."""
    focal = width * rng.uniform(0.82, 0.98)
    yaw = rng.normal(0, 0.045)
    across = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / np.float32(focal)
    horizon = height * np.clip(0.47 + rng.normal(0, 0.02), 0.4, 0.55)
    return Camera(
        x=0.45 * street.road + rng.normal(0, 0.25),
        y=rng.uniform(1.3, 1.65),
        z=image * 4.0 + rng.uniform(0, 2),
        focal=focal,
        right=(np.sin(yaw) + np.cos(yaw) * across).astype(np.float32),
        forth=(np.cos(yaw) - np.sin(yaw) * across).astype(np.float32),
        down=((np.arange(height, dtype=np.float32) + 0.5 - horizon) / focal).astype(np.float32),
    )
