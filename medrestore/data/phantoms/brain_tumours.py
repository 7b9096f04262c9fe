"""Tumours of the brain phantom: gliomas within the white matter, meningiomas on the dura."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medrestore.data.phantoms.brain_head import FLUID, GREY, LEVELS, Head, shrunk
from medrestore.data.phantoms.section import Canvas, Shape
from medrestore.data.phantoms.texture import Array, smoothstep

Kind = Literal["glioma", "meningioma", "none"]
KINDS: tuple[Kind, ...] = ("glioma", "meningioma", "none")


@dataclass(frozen=True, slots=True)
class Tumour:
    """One tumour in space: place and half axes in mm, and how it looks."""

    kind: Kind
    place: tuple[float, float, float]
    axes: tuple[float, float, float]
    wall: float  # mm of the part that takes up contrast, gliomas
    dead: float  # value inside it
    bright: float  # value of what takes up contrast


def draw_tumour(rng: np.random.Generator, head: Head, kind: Kind) -> Tumour | None:
    """Draw the tumour of a patient, None for `none`."""
    if kind == "none":
        return None
    level = float(rng.uniform(LEVELS[0] + 12, LEVELS[1] - 14))
    radius = rng.uniform(11, 21) if kind == "glioma" else rng.uniform(11, 18)
    axes = (radius, radius * rng.uniform(0.8, 1.25), radius * rng.uniform(0.9, 1.3))
    angle = rng.uniform(0, math.tau)
    edge = head.scalp + head.skull + 2
    half = (head.across * shrunk(level) - edge, head.down * shrunk(level) - edge)
    # A glioma lies halfway out, a meningioma on the inside of the skull.
    reach = 1 / math.hypot(math.sin(angle) / half[0], math.cos(angle) / half[1])
    out = rng.uniform(0.4, 0.6) * reach if kind == "glioma" else reach - 0.6 * radius
    place = (out * math.sin(angle), out * math.cos(angle), level)
    return Tumour(kind, place, axes, rng.uniform(2, 6), rng.uniform(0.14, 0.24), rng.uniform(0.6, 0.85))


def paint_tumour(tumour: Tumour, canvas: Canvas, cavity: Shape) -> Array:
    """Paint a tumour where the slice meets it, and return its mask, bool (H, W), without the swelling around it."""
    if tumour.kind == "glioma":
        return _glioma(tumour, canvas, cavity)
    mass = canvas.ball(tumour.place, tumour.axes, 0.0, 0.8 * canvas.border).within(cavity, 0.5)
    canvas.fill(mass.inset(-1.1).within(cavity, 0.5), FLUID + 0.06)
    canvas.fill(mass, tumour.bright + 0.03 * canvas.weave + 0.03 * canvas.ripple(40))
    return canvas.whole(mass).depth > 0


def _glioma(tumour: Tumour, canvas: Canvas, cavity: Shape) -> Array:
    x, y, z = tumour.place
    rough = 2.2 * canvas.border + 1.1 * canvas.ripple(45)
    wide = canvas.ball((x, y, z), tuple(1.7 * axis for axis in tumour.axes), 0.3, 2.5 * rough).within(cavity, 4)
    white = smoothstep(GREY, GREY + 0.08, canvas.values)  # swelling follows the white matter
    canvas.fill(wide, GREY - 0.08, 0.75 * white)
    mass = canvas.ball((x, y, z), tumour.axes, 0.3, rough).within(cavity, 2)
    canvas.fill(mass, tumour.bright + 0.06 * canvas.weave - 0.08 * np.abs(canvas.ripple(25)))
    wall = tumour.wall * (1 + 0.6 * canvas.ripple(35))
    core = Shape(mass.box, mass.depth - np.maximum(wall, 1.0)[mass.box])
    canvas.fill(core, tumour.dead + 0.03 * canvas.weave + 0.06 * canvas.ripple(30))
    return canvas.whole(mass).depth > 0
