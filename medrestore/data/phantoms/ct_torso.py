"""What chest and abdomen of the CT phantom have in common: skin, fat, muscles, ribs, spine, calcified vessels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from medrestore.data.phantoms.ct_tissues import CARTILAGE, FAT, FLUID, MUSCLE
from medrestore.data.phantoms.section import Canvas, Shape, around, ramp
from medrestore.data.phantoms.texture import Array, smoothstep


@dataclass(frozen=True, slots=True)
class Build:
    """A patient's body: lengths in mm, blood in HU."""

    width: float  # half of the body's
    depth: float  # half of the body's
    fat: float  # thickness below the skin
    female: bool
    blood: float  # HU of the arteries: enhanced by contrast medium or not
    age: float  # in [0, 1]: calcifications, fatty muscles, thin trabeculae


def draw_build(rng: np.random.Generator) -> Build:
    """Draw the build of a patient."""
    fat = rng.uniform(8, 24)
    enhanced = rng.random() < 0.6
    female = bool(rng.random() < 0.5)
    width, depth = rng.uniform(150, 168) + 0.7 * fat, rng.uniform(106, 118) + 0.8 * fat
    blood = rng.uniform(140, 260) if enhanced else rng.uniform(38, 48)
    return Build(width, depth, fat, female, float(blood), float(rng.random()))


def wall(canvas: Canvas, build: Build, body: Shape, cavity: Shape, skin: float = 1.8) -> None:
    """Skin, fat with its septa, and the muscles around the cavity, in layers parted by planes of fat."""
    angle = np.arctan2(canvas.x, canvas.y)  # 0 at the back, +-pi at the front
    planes = canvas.warped(60, -cavity.depth * np.float32(1.5) + 37, angle * np.float32(120 / math.tau))
    canvas.fill(body, 25.0)
    septa = smoothstep(0.12, 0.02, np.abs(canvas.ripple(62)))
    canvas.fill(body.inset(skin), FAT - 4 + 45 * septa)
    under = build.fat * (0.9 + 0.22 * np.cos(2 * angle) + 0.16 * canvas.ripple(210))
    muscles = Shape(body.box, body.depth - np.maximum(under, 3) - skin)
    # Planes of fat run along the wall where the layers' noise changes its sign.
    plane = smoothstep(0.2, 0.05, np.abs(planes)) * (0.75 + 0.25 * build.age)
    streaks = smoothstep(0.9, 1.9, canvas.weave) * np.float32(30 + 60 * build.age)
    canvas.fill(muscles, MUSCLE - 150 * plane - streaks)


def ribs(canvas: Canvas, build: Build, cavity: Shape, middle: float, first: float, last: float, phase: float) -> None:
    """Slanting ribs, each cut into a long oval; cartilage in front. `first` and `last`: along the wall, in mm."""
    angle = np.abs(np.arctan2(canvas.x, canvas.y - np.float32(middle)))  # 0 at the back
    along = angle * np.float32(0.5 * (build.width + build.depth) - build.fat - 22)
    turn = (canvas.z - 0.42 * along) / np.float32(26) + np.float32(phase)  # ribs are 26 mm apart and slope by 0.42
    off = np.abs(turn - np.round(turn)) * np.float32(26 / 0.42)  # mm along the wall from the middle of a rib
    across = np.abs(cavity.depth + np.float32(7.0))
    f = np.hypot(off / np.float32(17), across / np.float32(5.0))
    depth = np.minimum((1 - f) * np.float32(5.0), np.minimum(along - first, last - along))
    rib = Shape(cavity.box, depth)
    front = smoothstep(last - 50, last - 42, along)
    canvas.fill(rib, 950 + (CARTILAGE - 950) * front)
    marrow = 95 + 60 * canvas.weave
    canvas.fill(rib.inset(1.7), marrow + (CARTILAGE - 10 - marrow) * front)


def spine(canvas: Canvas, build: Build, y: float, across: float, down: float, phase: float, ribbed: bool) -> None:
    """Vertebra or disc at this level, canal with the cord, arch and processes, and the muscles along it."""
    for side in (-1, 1):  # erector spinae
        muscle = canvas.ellipse(side * 26, y + down + 20, 24, 16, side * 0.25, 1.5 * canvas.ripple(60))
        canvas.fill(muscle, MUSCLE - 100 * smoothstep(0.9, 1.6, canvas.ripple(25)) - 35 * build.age)
    turn = canvas.z / 28 + phase
    share = abs(turn - round(turn))  # 0 in the middle of a vertebra, 0.5 in the disc
    disc = ramp(0.38, 0.44, share)
    arch = ramp(0.42, 0.3, share)
    core = 185 - 90 * build.age
    for side in (-1, 1):
        process = canvas.ellipse(side * (across + 8), y + down + 2, 15 * arch + 3, 4.5, -side * 0.35)
        canvas.bone(process, 1.5, core + 60)
        pedicle = canvas.ellipse(side * across * 0.72, y + down * 0.85, 5, 9 * arch + 2)
        canvas.bone(pedicle, 1.6, core + 60)
        if ribbed:
            canvas.bone(canvas.ellipse(side * (across + 5), y + down * 0.35, 7 * arch + 1, 5, side * 0.4), 1.3, core)
        lamina = canvas.ellipse(side * 9, y + down + 14, 12, 3.6, side * 0.75)
        canvas.bone(lamina, 1.4, core + 80)
    spinous = canvas.ellipse(0, y + down + 25, 3.2, 12)
    canvas.bone(spinous, 1.3, core + 40)
    canal = canvas.ellipse(0, y + down + 6, 10.5, 8.5)
    canvas.fill(canal, FAT + 30)
    canvas.fill(canal.inset(2.0), 22.0)
    canvas.fill(canal.inset(4.2), 38.0)
    body = canvas.ellipse(0, y, across, down, 0.0, 0.6 * canvas.ripple(45))
    canvas.bone(body, 1.3, core, 1050 - 300 * disc)
    canvas.fill(body, 78 + 8 * canvas.weave, disc)
    if disc > 0.2:  # bony rim of the end plate
        rim = Shape(body.box, 1.2 - np.abs(body.depth - 1.0))
        canvas.fill(rim, 420, 0.6)


def artery(canvas: Canvas, shape: Shape, build: Build, plaque: float) -> None:
    """A large artery; with age, calcified plaque on one side of its wall. `plaque`: direction in radians."""
    canvas.fill(shape, 45.0)
    canvas.fill(shape.inset(1.4), build.blood + 3 * canvas.weave)
    if build.age > 0.35:
        direction = np.arctan2(canvas.y, canvas.x)[shape.box]
        wobble = canvas.ripple(40)[shape.box] + np.float32(0.8) * np.cos(direction * 3 + np.float32(plaque))
        spot = Shape(shape.box, np.minimum(1.3 - np.abs(shape.depth - 0.8), (wobble - 1.1) * 4))
        canvas.fill(spot, 600.0, min(1.0, build.age + 0.2))


def hollow(canvas: Canvas, shape: Shape, content: float, gas: float, ripple: Array) -> None:
    """Stomach or gut: a wall, contents, and gas above a level. `gas`: share of the height that is gas."""
    canvas.fill(shape, 48.0)
    inside = shape.inset(2.6)
    canvas.fill(inside, content + 16 * ripple)
    if gas > 0 and (inside.depth > 0).any():
        rows = np.flatnonzero((inside.depth > 0).any(axis=1))
        y = canvas.y[shape.box[0]]
        level = float(y[rows[0], 0] + gas * (y[rows[-1], 0] - y[rows[0], 0]))
        canvas.fill(Shape(shape.box, np.minimum(inside.depth, level - y)), -940.0)


def spots(rng: np.random.Generator, count: int, low: Array, high: Array, radius: tuple[float, float]) -> Array:
    """Places and radii (count, 4) of small round findings in a box of space; the same whatever the slice."""
    return np.column_stack([rng.uniform(low, high, (count, 3)), rng.uniform(*radius, count)])


def spot(canvas: Canvas, place: Array, hu: float, ripple: Array | None = None, inside: Shape | None = None) -> None:
    """A small round finding (x, y, z, radius), where this slice meets it."""
    x, y, z, radius = place.tolist()
    if abs(canvas.z - z) < radius:
        shape = canvas.ball((x, y, z), (radius, radius, radius), 0.0, ripple)
        canvas.fill(shape if inside is None else shape.within(inside), hu)


def vein_blood(build: Build) -> float:
    """HU of veins and well supplied organs: part of the arteries' enhancement."""
    return 42 + 0.55 * (build.blood - 42)


def enhanced(rng: np.random.Generator, build: Build, plain: float, gain: float) -> float:
    """HU of an organ: its own value and a share `gain` of the contrast in the blood."""
    return around(rng, plain, 0.06) + gain * (build.blood - 42)


def cyst(canvas: Canvas, shape: Shape) -> None:
    """A sac of fluid with a thin wall, such as a cyst or the gall bladder."""
    canvas.fill(shape, 30.0)
    canvas.fill(shape.inset(1.5), FLUID)
