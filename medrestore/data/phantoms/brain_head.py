"""The head of the brain phantom: scalp, skull, cortex with its furrows, nuclei, ventricles, vessels.

Level 0 mm is that of the basal ganglia, the crown lies at 86 mm. Values are those of a T1-weighted MR image after
contrast medium, white matter near 0.42: fat and what takes up contrast are bright, fluid, bone and air dark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from medrestore.data.phantoms.brain_cortex import Folds, draw_folds, furrows
from medrestore.data.phantoms.section import Canvas, Shape, around, ramp, tree
from medrestore.data.phantoms.texture import Array, smoothstep

LEVELS = (-4.0, 60.0)  # mm, through the brain
APEX = (71.0, 79.0)  # mm, through scalp and skull above it
CROWN = 86.0
FAT, SKIN, MUSCLE, BONE, MARROW = 0.95, 0.3, 0.28, 0.09, 0.34
WHITE, GREY, FLUID, DURA, BLOOD = 0.42, 0.31, 0.1, 0.36, 0.8


@dataclass(frozen=True, slots=True)
class Head:
    """One patient: lengths in mm at level 0."""

    across: float  # half of the head's
    down: float
    scalp: float  # thickness
    skull: float
    age: float  # in [0, 1]: wide furrows and ventricles, lesions of the white matter
    contrast: float  # between grey and white matter, 1 as in the table above
    folds: Folds
    vessels: list[tuple[Array, float, float]]
    spots: Array  # (n, 4) places and radii of small spaces around vessels


def draw_head(rng: np.random.Generator) -> Head:
    """Draw the anatomy of a patient."""
    across, down, age = around(rng, 75, 0.05), around(rng, 93, 0.05), float(rng.random())
    scalp, skull = rng.uniform(5, 9), rng.uniform(5.5, 8.5)
    folds = draw_folds(rng)
    half = np.array([across, down, CROWN]) - scalp - skull - 3
    around_brain = rng.normal(size=(150, 3))
    around_brain[:, 2] = np.abs(around_brain[:, 2])
    around_brain /= np.linalg.norm(around_brain, axis=1, keepdims=True)
    start = (around_brain * half).astype(np.float32)
    heading = np.cross(around_brain, rng.normal(size=(150, 3))) - 0.35 * around_brain  # along the surface and inwards
    vessels = tree(rng, start, heading, ((26, 220, 1.2, 0.6, 0.8), (18, 0, 1.0, 0.4, 0.5)))
    low, high = np.array([-45.0, -60, -4]), np.array([45.0, 60, 55])
    spots = np.column_stack([rng.uniform(low, high, (60, 3)), rng.uniform(0.8, 1.6, 60)])
    return Head(across, down, scalp, skull, age, around(rng, 1.0, 0.15), folds, vessels, spots)


def shrunk(level: float) -> float:
    """How much smaller the head is at a level in mm than at its widest, towards the crown."""
    return math.sqrt(max(0.02, 1 - (max(0.0, level) / CROWN) ** 2))


def paint_shell(head: Head, canvas: Canvas) -> Shape:
    """Paint scalp and skull, and return the cavity inside; above the brain it is empty."""
    narrow = shrunk(canvas.z)
    body = canvas.outline(0, head.across * narrow, head.down * narrow, 2.15)
    border = canvas.border
    canvas.fill(body, SKIN)
    lobules = smoothstep(0.25, 0.05, np.abs(canvas.ripple(38)))
    pale = 0.4 * smoothstep(1.5, -1.0, canvas.ripple(260))  # nearer to or further from the coil
    skin = smoothstep(4.0, 1.0, body.depth * np.float32(narrow))  # ever less of it into the depth
    canvas.fill(body, FAT - pale - 0.12 * lobules + 0.03 * canvas.weave, 1 - skin)
    canvas.fill(body.inset((head.scalp - 1.4) / narrow), MUSCLE)  # galea
    for side in (-1, 1):  # chewing muscles at the temples
        temple = canvas.ball((side * (head.across - 10), -30, -6), (8, 32, 40), side * 0.12, border)
        canvas.fill(temple.within(body, 3), MUSCLE + 0.05 * canvas.weave)
    outer = body.inset(head.scalp / narrow + 0.6 * border)
    thick = head.skull / narrow * (1 + 0.12 * canvas.ripple(150))
    canvas.fill(outer, BONE)
    layer = Shape(outer.box, np.minimum(outer.depth - 1.7 / narrow, thick - 1.7 / narrow - outer.depth))
    canvas.fill(layer, MARROW + 0.1 * canvas.weave + 0.12 * canvas.ripple(45), 0.9)
    cavity = Shape(outer.box, outer.depth - thick)
    canvas.fill(cavity, DURA)
    return cavity


def paint_brain(head: Head, canvas: Canvas, cavity: Shape) -> None:
    """Paint what lies in the cavity: fluid, cortex, white matter, nuclei, ventricles, falx, vessels."""
    narrow, wide = shrunk(canvas.z), 0.6 + 0.7 * head.age
    brain = cavity.inset((1.2 + 1.4 * head.age) / narrow)
    canvas.fill(cavity.inset(0.9 / narrow), FLUID)
    grey = WHITE - (WHITE - GREY) * head.contrast
    gap = furrows(head.folds, canvas, brain, narrow, wide)
    ribbon = 2.7 + 0.35 * canvas.ripple(30)
    step = np.float32(canvas.spacing)
    matter = np.clip((gap - ribbon) / step + np.float32(0.5), 0, 1)  # share of white matter in each pixel
    white = WHITE + 0.01 * canvas.weave + 0.01 * canvas.ripple(70)
    tissue = grey + 0.01 * canvas.weave + (white - grey - 0.01 * canvas.weave) * matter
    canvas.fill(brain, FLUID + (tissue - FLUID) * np.clip(gap / step + np.float32(0.5), 0, 1))
    _spots(head, canvas, matter)
    _deep(head, canvas, brain, grey, wide)
    _midline(head, canvas, cavity, narrow)
    veins = canvas.lines(head.vessels, 2.0) * canvas.cover(cavity) * smoothstep(3.0, 0.0, gap)  # they run in furrows
    canvas.mix(cavity.box, BLOOD, 0.8 * veins)


def _spots(head: Head, canvas: Canvas, matter: Array) -> None:
    """Fluid around small vessels of the white matter; with age, pale patches too."""
    for x, y, z, radius in head.spots.tolist():
        if abs(canvas.z - z) < 2 * radius:
            spot = canvas.ball((x, y, z), (radius, 1.5 * radius, 2 * radius))
            canvas.fill(spot, FLUID + 0.1, 0.8 * matter)
    pale = canvas.ball((0, 2, 24), (36, 56, 22), 0, 3 * canvas.border)
    patches = smoothstep(0.9, 1.6, canvas.ripple(64)) * matter
    canvas.fill(pale, GREY - 0.02, np.float32(0.7 * head.age) * patches)


def _deep(head: Head, canvas: Canvas, brain: Shape, grey: float, wide: float) -> None:
    """Nuclei, ventricles and the choroid plexus, which takes up contrast."""
    border = canvas.border
    for side in (-1, 1):
        for place, axes, tilt, value in (
            ((side * 26, -2, 2), (6.5, 18, 12), -side * 0.3, grey + 0.03),  # putamen
            ((side * 19.5, 1, 0), (4, 9, 8), -side * 0.4, grey + 0.08),  # pallidum
            ((side * 11, 14, 4), (8, 14, 11), side * 0.35, grey + 0.05),  # thalamus
            ((side * (9 + 4 * wide), -21, 8), (5, 10, 14), side * 0.4, grey + 0.02),  # caudate
            ((side * (10 + 4 * wide), 2, 22), (3.2, 22, 7), -side * 0.15, grey + 0.02),  # its body
            ((side * (4.5 + 3 * wide), -24, 10), (3.6 * wide, 14, 13), side * 0.42, FLUID),  # frontal horn
            ((side * (7 + 4 * wide), 6, 20), (4.8 * wide, 27, 9), -side * 0.18, FLUID),  # body
            ((side * 23, 36, 8), (4.4 * wide, 17, 12), -side * 0.4, FLUID),  # occipital horn
            ((0, 6, 1), (1.9 * wide, 13, 11), 0.0, FLUID),  # third ventricle
        ):
            shape = canvas.ball(place, axes, tilt, 0.6 * border)
            canvas.fill(shape.within(brain, 2), value + 0.01 * canvas.weave)
        plexus = canvas.ball((side * 22, 30, 11), (2.6, 8, 7), -side * 0.4, 0.9 * canvas.weave)
        canvas.fill(plexus, 0.6 + 0.08 * canvas.weave)
    canvas.fill(canvas.ball((0.5, 24, -2), (2.4, 3, 4), 0, 0.5 * canvas.weave), 0.65)  # pineal gland


def _midline(head: Head, canvas: Canvas, cavity: Shape, narrow: float) -> None:
    """The falx in its cleft, and the sagittal sinus at both of its ends, which is full of contrast."""
    middle = np.abs(canvas.x + 0.8 * canvas.border)
    inside = 18 if canvas.z < 30 else 18 * (1 - ramp(30, 44, canvas.z)) - 4
    reach = np.minimum(cavity.depth + 1, np.abs(canvas.y + 2) - 26 * (1 - ramp(24, 36, canvas.z)) - inside)
    canvas.fill(Shape(cavity.box, np.minimum(0.55 - middle, reach)), DURA + 0.12)
    for end, size in ((-1, 2.2), (1, 3.8)):
        level = end * (head.down * narrow - (head.scalp + head.skull) / narrow)
        sinus = canvas.ellipse(0, level - end * 1.5, 0.8 * size, size, 0.0, 0.7 * canvas.ripple(30))
        canvas.fill(sinus, BLOOD)
