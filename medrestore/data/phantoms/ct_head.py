"""The head of the CT phantom, from the cheekbones (level 0 mm) to near the crown (96 mm)."""

from __future__ import annotations

import math

import numpy as np

from medrestore.data.phantoms.ct_tissues import AIR, FAT, FLUID, MUSCLE
from medrestore.data.phantoms.ct_torso import spot, spots
from medrestore.data.phantoms.section import Canvas, Shape, around, ramp
from medrestore.data.phantoms.texture import Array, smoothstep

LEVELS = (1.0, 91.0)  # mm
GREY, WHITE = 38.0, 29.0  # HU


def paint_head(rng: np.random.Generator, canvas: Canvas, age: float) -> None:
    """Paint the slice at the canvas' level; `rng` is the patient's, so that all slices show one anatomy."""
    z = canvas.z
    narrowed = math.sqrt(max(0.1, 1 - (max(0.0, z - 42) / 68) ** 2)) * (1 - 0.04 * max(0.0, 30 - z) / 30)
    across, down = around(rng, 76, 0.05) * narrowed, around(rng, 94, 0.04) * narrowed
    border = canvas.border
    thick = around(rng, 6.5, 0.25) / narrowed**0.5
    face = 1 - ramp(22, 40, z)  # 1 in the slices through the face

    body = canvas.outline(0, across, down, 2.15)
    _ears_and_nose(rng, canvas, across, down)
    canvas.fill(body, 30.0)
    canvas.fill(body.inset(1.8), FAT + 40 * smoothstep(0.5, 0.2, np.abs(canvas.ripple(40))))
    for side in (-1, 1):  # the chewing muscles at the temples
        temple = canvas.ball((side * (across - 8), -30, 10), (9, 34, 52), side * 0.12, border)
        canvas.fill(temple.within(body, 3), 58.0)
    skull = body.inset(6.0 + 1.0 * border)
    marrow = smoothstep(0.5, 2.0, np.minimum(skull.depth, thick - skull.depth))
    canvas.fill(skull, 1150 - (650 - 260 * canvas.weave) * marrow)
    inner = skull.inset(thick + 0.8 * canvas.ripple(55))
    _sutures(canvas, skull, inner, rng.uniform(-0.3, 0.3, 3))
    _brain(rng, canvas, inner, across, down, age, border)
    _skull_base(rng, canvas, body, face, across, down, border)
    if face > 0:
        _face(rng, canvas, body, face, down, border)


def _ears_and_nose(rng: np.random.Generator, canvas: Canvas, across: float, down: float) -> None:
    tilt = rng.uniform(0.2, 0.5)
    for side in (-1, 1):
        ear = canvas.ball((side * (across + 4), 14, 12), (3.5, 17, 28), side * tilt, 0.8 * canvas.ripple(25))
        canvas.fill(ear, 20.0)
    nose = canvas.ball((0, -down + 3, 2), (15, 24, 27))
    canvas.fill(nose, 25.0)
    for side in (-1, 1):
        canvas.fill(canvas.ball((side * 4.5, -down - 2, -2), (3.2, 14, 18)), AIR)


def _sutures(canvas: Canvas, skull: Shape, inner: Shape, turn: Array) -> None:
    """Wavy gaps of the vault: coronal on both sides, lambdoid behind."""
    angle = np.arctan2(canvas.x, canvas.y)
    wave = 0.02 * np.sin(skull.depth * np.float32(2.2))
    for place in (0.5 + turn[0], -0.5 + turn[0], 2.1 + 0.2 * turn[1], -2.1 + 0.2 * turn[2]):
        gap = Shape(skull.box, (np.float32(0.008) - np.abs(angle - np.float32(place) + wave)) * 70)
        ring = Shape(skull.box, np.minimum(skull.depth, -inner.depth))
        canvas.fill(Shape(skull.box, np.minimum(gap.depth, ring.depth)), 120.0, 0.7)


def _brain(
    rng: np.random.Generator, canvas: Canvas, inner: Shape, across: float, down: float, age: float, border: Array
) -> None:
    """Cortex with its furrows, white matter, nuclei, ventricles, falx, calcifications, small bleeds."""
    z = canvas.z
    wide = 0.6 + 0.7 * age  # of furrows and ventricles
    places = spots(rng, 10, np.array([-45, -60, 30]), np.array([45, 60, 92]), (1.2, 2.6))
    bleeds = spots(rng, 4, np.array([-45, -60, 30]), np.array([45, 60, 92]), (3.0, 9.0))
    holes = spots(rng, 8, np.array([-35, -40, 35]), np.array([35, 40, 80]), (1.5, 3.0))
    bleeding = rng.random() < 0.35
    canvas.fill(inner, 70.0)  # dura
    canvas.fill(inner.inset(1.2), FLUID)
    brain = inner.inset(1.6 + 1.2 * age)

    angle = np.arctan2(canvas.x, canvas.y)
    folds = canvas.warped(34, angle * np.float32(52) + 0.3 * brain.depth, brain.depth * np.float32(0.6) + 6 * border)
    shallow = smoothstep(26, 14, brain.depth)
    ridge = np.abs(folds)
    furrow = smoothstep(0.3 * wide + 0.06, 0.08, ridge) * shallow
    cortex = np.maximum(smoothstep(1.0, 0.7, ridge) * shallow, smoothstep(5.0, 3.5, brain.depth))
    tissue = WHITE + (GREY - WHITE) * cortex + 1.0 * canvas.weave
    tissue += (FLUID + 2 - tissue) * furrow
    canvas.fill(brain, tissue)

    cerebrum = ramp(24, 36, z)
    for side in (-1, 1):
        for place, axes, tilt, value in (
            ((side * 24, -2, 46), (9, 22, 16), -side * 0.3, GREY + 2),  # lentiform nucleus
            ((side * 10, 10, 50), (8, 14, 12), side * 0.4, GREY + 1),  # thalamus
            ((side * 14, -20, 56), (4.5, 10, 12), side * 0.4, GREY + 1),  # caudate
            ((side * 40, -2, 42), (12 * wide, 2.4 * wide, 14), side * 0.35, FLUID),  # sylvian fissure
            ((side * (5 + 3 * wide), -22, 60), (3.2 * wide, 15, 16), side * 0.42, FLUID),  # frontal horn
            ((side * (9 + 4 * wide), 6, 66), (4.5 * wide, 26, 11), -side * 0.2, FLUID),  # body
            ((side * 22, 34, 56), (4.4 * wide, 16, 12), -side * 0.45, FLUID),  # occipital horn
            ((0, 4, 50), (1.8 * wide, 12, 13), 0, FLUID),  # third ventricle
        ):
            shape = canvas.ball(place, axes, tilt, 0.7 * border)
            canvas.fill(shape.within(brain, 2), value + 0.8 * canvas.weave, cerebrum)
        plexus = canvas.ball((side * 21, 30, 57), (2.6, 6, 5), -side * 0.45, 0.8 * canvas.weave)
        canvas.fill(plexus, 130 + 130 * (canvas.weave > 0.4), min(1.0, 0.4 + age) * cerebrum)
    canvas.fill(canvas.ball((0.5, 22, 50), (2.2, 2.6, 4), 0, 0.5 * canvas.weave), 260.0, cerebrum)  # pineal gland

    midline = np.abs(canvas.x + 0.6 * border)
    cleft = Shape(brain.box, np.minimum(1.6 * wide - midline, np.minimum(brain.depth + 2, np.abs(canvas.y) - 20)))
    canvas.fill(cleft, FLUID, cerebrum * (smoothstep(40, 30, brain.depth) if z < 66 else 1.0))
    falx = Shape(
        brain.box, np.minimum(0.8 - midline, np.minimum(inner.depth, np.abs(canvas.y) - (22 if z < 68 else 0)))
    )
    canvas.fill(falx, 75.0, cerebrum)
    sinus = canvas.ellipse(0, down - 17, 5, 5)
    canvas.fill(sinus.within(inner, 0), 62.0)
    for place in places:
        if age > 0.4:
            spot(canvas, place, 190.0, None, brain)
    for place in holes:
        if age > 0.5:
            spot(canvas, place, 12.0, None, brain)
    if bleeding:
        for place in bleeds:
            spot(canvas, place, 68.0, 0.8 * border, brain)


def _skull_base(
    rng: np.random.Generator, canvas: Canvas, body: Shape, face: float, across: float, down: float, border: Array
) -> None:
    """Hindbrain with its ventricle and leaves, petrous bones with air cells, clivus."""
    leaves = canvas.warped(60, canvas.y + np.float32(0.02) * canvas.x**2, 0.15 * canvas.x + 0 * canvas.y)
    cells = rng.uniform(0.1, 0.6)
    if canvas.z > 34:
        return
    share = 1 - ramp(28, 34, canvas.z)
    hind = canvas.ball((0, 44, 14), (48, 32, 26), 0, border)
    canvas.fill(hind.within(body, 16), 30 + 7 * smoothstep(0.1, 0.5, np.abs(leaves)), share)
    stem = canvas.ball((0, 14, 12), (15, 13, 40), 0, 0.6 * border)
    canvas.fill(stem.within(body, 10).inset(-3), FLUID, share)
    canvas.fill(stem, 30.0, share)
    canvas.fill(canvas.ball((0, 28, 14), (6, 3.5, 14)), FLUID, share)
    clivus = canvas.ball((0, -5, 6), (17, 10, 25), 0, border)
    canvas.bone(clivus, 1.3, 260)
    air = smoothstep(cells, cells - 0.25, np.abs(canvas.ripple(9)))
    for side in (-1, 1):
        ridge = canvas.ball((side * 38, 10, 10), (30, 10, 16), -side * 0.55, 2.5 * border)
        canvas.fill(ridge, 1050 + 250 * canvas.weave)
        canvas.fill(ridge.inset(3.0), 900 - 1400 * air)
        canal = canvas.ellipse(side * (across - 16), 8, 12, 3.4, -side * 0.1)
        canvas.fill(canal, AIR if canvas.z < 18 else 700.0)
        mastoid = canvas.ball((side * (across - 17), 27, 4), (12, 18, 26), side * 0.3, 2 * border)
        canvas.fill(mastoid, 900.0)
        canvas.fill(mastoid.inset(2.0), 620 - 1500 * air)


def _face(rng: np.random.Generator, canvas: Canvas, body: Shape, face: float, down: float, border: Array) -> None:
    """Orbits with eyes, nose with its turbinates, sinuses, cheekbones."""
    bony = around(rng, 1.0, 0.1)
    swollen = rng.uniform(0, 5, 2)
    front = -down
    block = canvas.ball((0, front + 34, 6), (58, 36, 28), 0, 2 * border).within(body, 4)
    canvas.fill(block, FAT + 155 * smoothstep(0.25, 0.45, canvas.ripple(60)), face)
    for side in (-1, 1):
        cheek = canvas.ball((side * 49 * bony, front + 34, 4), (6, 24, 20), side * 0.5, border)
        canvas.bone(cheek.within(body, 5), 1.4, 330)
        arch = canvas.ball((side * 62, front + 62, 3), (3.2, 24, 8), side * 0.1)
        canvas.bone(arch.within(body, 4), 1.2, 300)
        antrum = canvas.ball((side * 26, front + 34, -6), (17 * bony, 19, 23), side * 0.3, 1.5 * border)
        canvas.fill(antrum.inset(-1.6), 700.0)
        canvas.fill(antrum, 30.0)  # lining
        canvas.fill(antrum.inset(0.8 + swollen[(side + 1) // 2]), AIR)
        orbit = canvas.ball((side * 30, front + 31, 27), (16.5 * bony, 25, 13.5), -side * 0.35, 0.6 * border)
        canvas.fill(orbit.inset(-2.2), 800.0)
        canvas.fill(orbit, FAT)
        for offset, lean in ((-9, 0.16), (9, -0.5)):
            muscle = canvas.ball((side * (28 + offset), front + 36, 27), (2.4, 16, 9), side * lean)
            canvas.fill(muscle.within(canvas.whole(orbit)), MUSCLE)
        canvas.fill(canvas.ball((side * 24, front + 44, 27), (2.4, 15, 5), side * -0.4), 35.0)  # optic nerve
        eye = canvas.ball((side * 31, front + 18, 27), (12.0, 12.0, 12.0))
        canvas.fill(eye, 45.0)
        canvas.fill(eye.inset(1.3), 10.0)
        canvas.fill(canvas.ball((side * 31.3, front + 9, 27), (4.6, 2.2, 4.6)), 95.0)  # lens
    _nose_inside(canvas, front, border)
    sphenoid = canvas.ball((2, front + 76, 16), (15 * bony, 12, 12), 0, 2 * border)
    canvas.fill(sphenoid.inset(-1.8), 800.0)
    canvas.fill(sphenoid, AIR)
    canvas.fill(Shape(sphenoid.box, np.minimum(sphenoid.depth, 0.6 - np.abs(canvas.x - 3)[:, sphenoid.box[1]])), 500.0)


def _nose_inside(canvas: Canvas, front: float, border: Array) -> None:
    """Air with septum and turbinates below, a honeycomb of thin bone above."""
    cavity = canvas.ball((0, front + 36, 8), (13, 33, 28), 0, border)
    canvas.fill(cavity.inset(-1.0), 450.0)
    mucosa = smoothstep(0.2, 0.6, np.abs(canvas.ripple(20)))
    upper = ramp(8, 16, canvas.z)
    canvas.fill(cavity, 40 - 1040 * mucosa)
    honeycomb = smoothstep(0.28, 0.12, np.abs(canvas.ripple(17)))
    canvas.fill(cavity, AIR + 1250 * honeycomb, upper)
    canvas.fill(Shape(cavity.box, np.minimum(cavity.depth + 1, 0.9 - np.abs(canvas.x + border)[cavity.box])), 350.0)
