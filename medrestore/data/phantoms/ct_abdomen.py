"""The abdomen of the CT phantom, from the upper liver (level 0 mm) to the lower poles of the kidneys (140 mm)."""

from __future__ import annotations

import numpy as np

from medrestore.data.phantoms.ct_tissues import FAT, MUSCLE
from medrestore.data.phantoms.ct_torso import (
    Build,
    artery,
    cyst,
    enhanced,
    hollow,
    ribs,
    spine,
    spot,
    spots,
    vein_blood,
    wall,
)
from medrestore.data.phantoms.section import Canvas, Shape, around, ramp, tree
from medrestore.data.phantoms.texture import Array, smoothstep

LEVELS = (12.0, 138.0)  # mm


def paint_abdomen(rng: np.random.Generator, canvas: Canvas, build: Build) -> None:
    """Paint the slice at the canvas' level; `rng` is the patient's, so that all slices show one anatomy."""
    z = canvas.z
    waist = 1 - 0.06 * ramp(20, 110, z)
    across, down, middle = (build.width - build.fat - 17) * waist, build.depth - build.fat - 23, -10.0
    border = canvas.border
    body = canvas.outline(0, build.width * waist, build.depth, 2.3)
    cavity = canvas.outline(middle, across, down, 2.25)
    back = middle + down - 24
    phase = rng.uniform(0, 1, 2)

    wall(canvas, build, body, cavity)
    for side in (-1, 1):  # the straight muscles in front
        strap = canvas.ellipse(side * 33, middle - down - 5, 29, 5.5, side * 0.12, 0.8 * border)
        canvas.fill(strap, MUSCLE)
    ribs(canvas, build, cavity, middle, 18, 200 - 0.9 * z, float(phase[0]))
    strands = smoothstep(0.12, 0.03, np.abs(canvas.ripple(34)))
    canvas.fill(cavity, FAT + 40 * strands)
    _gut(rng, canvas, cavity, down, border)
    _mesentery(rng, canvas, build, cavity, back)
    _solid_organs(rng, canvas, build, cavity, border)
    _kidneys(rng, canvas, build, back, border)
    for side in (-1, 1):  # psoas and the muscle beside it
        grown = ramp(20, 130, z)
        psoas = canvas.ellipse(side * (30 + 7 * grown), back + 4, 5 + 12 * grown, 7 + 13 * grown, side * 0.3, border)
        canvas.fill(psoas, 56 - 40 * smoothstep(1.0, 1.8, canvas.ripple(20)))
        flat = canvas.ellipse(side * 66, back + 26, 22, 9, -side * 0.5, border)
        canvas.fill(flat, 52.0)
    canvas.fill(canvas.ellipse(-21, back - 25, 13, 9.5, 0.2, border), vein_blood(build))
    artery(canvas, canvas.ellipse(13, back - 26, 10.5 - 0.02 * z, 10.5 - 0.02 * z), build, rng.uniform(0, 6.28))
    spine(canvas, build, back, 23.0, 16.5, float(phase[1]), ribbed=False)


def _solid_organs(rng: np.random.Generator, canvas: Canvas, build: Build, cavity: Shape, border: Array) -> None:
    """Liver with its vessels and findings, gall bladder, spleen, pancreas."""
    liver_hu, spleen_hu = enhanced(rng, build, 56, 0.38), enhanced(rng, build, 49, 0.42)
    pancreas_hu = enhanced(rng, build, 40, 0.35)
    size = around(rng, 1.0, 0.1)
    start = np.array([-30.0, -8.0, 48.0]) + rng.normal(0, 4, (14, 3))
    heading = np.column_stack([rng.normal(-1.2, 0.8, 14), rng.normal(0, 1, 14), rng.normal(-0.1, 0.8, 14)])
    portal = tree(rng, start, heading, ((80, 60, 0.8, 3.2, 0.8), (45, 160, 1.0, 1.8, 0.6), (25, 0, 1.2, 1.0, 0.5)))
    cysts = spots(rng, 5, np.array([-120, -60, 0]), np.array([-20, 40, 90]), (3.0, 9.0))
    metastases = spots(rng, 9, np.array([-120, -60, 0]), np.array([-10, 40, 100]), (3.0, 10.0))
    grains = spots(rng, 8, np.array([-120, -60, 0]), np.array([120, 40, 100]), (1.5, 2.6))
    stones = spots(rng, 4, np.array([-48, -46, 66]), np.array([-36, -30, 92]), (2.0, 4.5))
    ill, duct = rng.random() < 0.4, rng.uniform(-6, 6, 2)

    right = canvas.ball((-66, -10, 24), (78 * size, 80, 90 * size), 0.1, 4 * border)
    left = canvas.ball((6, -44, 22), (66 * size, 30, 58), -0.15, 3 * border)
    vessel = liver_hu + 0.35 * (build.blood - 42) - (12 if build.blood < 60 else 0)
    cut = canvas.lines(portal, 3.0)
    for lobe in (left.within(cavity, 1.5), right.within(cavity, 1.5)):
        canvas.fill(lobe, liver_hu + 4 * canvas.weave)
        canvas.mix(lobe.box, vessel, cut[lobe.box] * canvas.cover(lobe.inset(3)))
        for place in cysts:
            spot(canvas, place, 8.0, None, canvas.whole(lobe))
        if ill:
            for place in metastases:
                spot(canvas, place, liver_hu - 32, 1.0 * border, canvas.whole(lobe))
    bladder = canvas.ball((-42 + duct[0], -38 + duct[1], 78), (16, 22, 30), 0.5, border)
    cyst(canvas, bladder)
    for place in stones:
        if build.age > 0.4:
            spot(canvas, place, 350.0, None, canvas.whole(bladder.inset(2)))
    spleen = canvas.ball((104, 24, 34), (30, 56 * size, 56), -0.35, 3 * border).within(cavity, 1.5)
    canvas.fill(spleen, spleen_hu + 4 * canvas.weave)
    for x in range(-18, 80, 14):
        lobule = canvas.ball((x, -14 + 0.18 * x, 62 - 0.15 * x), (13, 10, 17), 0.2, 2.5 * border)
        canvas.fill(lobule, pancreas_hu - 90 * smoothstep(0.25, 0.05, np.abs(canvas.ripple(14))) + 5 * canvas.weave)
    for place in grains:
        spot(canvas, place, 480.0)


def _kidneys(rng: np.random.Generator, canvas: Canvas, build: Build, back: float, border: Array) -> None:
    """Cortex, medulla in wedges, fat of the hilum with vessels, cysts and stones; adrenals above."""
    cortex = enhanced(rng, build, 34, 0.65)
    levels, sacs = rng.normal((84, 74), 6), rng.uniform((-30, -10, -40), (30, 30, 40), (2, 3))
    stones = spots(rng, 6, np.array([-12, -12, -35]), np.array([12, 12, 35]), (1.4, 3.2))
    for number, side in enumerate((-1, 1)):
        x, y, level = side * 68.0, back - 6, float(levels[number])
        kidney = canvas.ball((x, y, level), (29, 26, 56), side * 0.6, 1.5 * border)
        medulla = cortex - 0.3 * (cortex - 30)
        canvas.fill(kidney, cortex + 4 * canvas.weave)
        angle = np.arctan2(canvas.y - np.float32(y), canvas.x - np.float32(x))[kidney.box]
        wedges = Shape(kidney.box, np.minimum(kidney.depth - 7, 6 * np.cos(7 * angle + np.float32(level)) + 2))
        canvas.fill(wedges, medulla)
        sinus = canvas.ball((x - side * 11, y - 4, level), (17, 10, 28), side * 0.6, 2 * border)
        canvas.fill(sinus, FAT + 90 * smoothstep(0.35, 0.1, np.abs(canvas.ripple(18))))
        stalk = canvas.ball((side * 34, y - 12, level - 4), (26, 3.6, 5), -side * 0.25, 1.2 * border)
        canvas.fill(stalk, vein_blood(build))
        for place in stones[3 * number : 3 * number + 3]:
            spot(canvas, place + np.array([x, y, level, 0]), 700.0)
        cyst(canvas, canvas.ball(sacs[number] + np.array([x, y, level]), (11, 11, 11)))
        for tilt in (-0.5, 0.5):
            adrenal = canvas.ball((side * 42, back - 16, level - 54), (14, 2.2, 12), side * (0.9 + tilt))
            canvas.fill(adrenal, 38.0)


def _gut(rng: np.random.Generator, canvas: Canvas, cavity: Shape, down: float, border: Array) -> None:
    """Stomach, colon and loops of small bowel with walls, contents and gas."""
    content = canvas.ripple(26)
    meal = rng.uniform(5, 45)
    places = rng.uniform((-62, -62, 78), (70, 14, 175), (46, 3))
    axes, gas = rng.uniform((13, 11, 12), (22, 17, 24), (46, 3)), rng.uniform(-1.0, 0.55, 46)
    hu = rng.uniform(12, 55, 46)
    filled = rng.uniform(0.1, 0.9, 12)
    tilts = np.linspace(-0.6, 0.6, 46)
    for place, axis, tilt, share, value in zip(places, axes, tilts, gas, hu, strict=True):
        loop = canvas.ball(place, axis, tilt, 3 * border).within(cavity, 3)
        hollow(canvas, loop, float(value), max(0.0, float(share)), content)
    colon = [(-96.0, 6.0, 112.0, 24.0), (104.0, 16.0, 96.0, 20.0), (96.0, -12.0, 56.0, 20.0)]
    colon += [(x, -down * 0.72 + 0.0009 * x * x, 92 + 0.12 * abs(x), 17.0) for x in range(-70, 71, 28)]
    for share, (x, y, level, radius) in zip(filled, colon, strict=False):
        tall = 60 if abs(x) > 80 else 22
        section = canvas.ball((x, y, level), (radius, radius, tall), 0, 2.5 * border + 1.5 * content)
        stool = -16 * smoothstep(0.9, 1.5, canvas.weave) + content
        hollow(canvas, section.within(cavity, 2), 45.0, float(share), stool)
    stomach = canvas.ball((48, -34, 30), (52, 38, 46), 0.5, 4 * border)
    canvas.fill(stomach.within(cavity, 2), 50.0)
    hollow(canvas, stomach.inset(1.5).within(cavity, 3), meal, 0.3, content)


def _mesentery(rng: np.random.Generator, canvas: Canvas, build: Build, cavity: Shape, back: float) -> None:
    """Vessels of the gut as lines and dots in the fat, with small nodes, some of them calcified."""
    start = np.array([2.0, back - 46, 84.0]) + rng.normal(0, (6, 4, 16), (24, 3))
    heading = np.column_stack([rng.normal(0, 1, 24), rng.normal(-0.8, 0.5, 24), rng.normal(0.4, 0.8, 24)])
    generations = (60, 90, 1.0, 2.0, 0.8), (40, 200, 1.2, 1.2, 0.7), (22, 0, 1.4, 0.8, 0.5)
    vessels = tree(rng, start, heading, generations)
    nodes = spots(rng, 24, np.array([-50, -50, 60]), np.array([50, 20, 140]), (1.8, 4.0))
    in_fat = smoothstep(-20, -70, canvas.values) * canvas.cover(cavity.inset(4))
    canvas.mix(cavity.box, vein_blood(build) + 10, canvas.lines(vessels, 3.0) * in_fat)
    for number, place in enumerate(nodes):
        spot(canvas, place, 400.0 if number % 7 == 0 else 40.0)
