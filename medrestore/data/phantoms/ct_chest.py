"""The chest of the CT phantom, from the aortic arch (level 0 mm) to the dome of the liver (150 mm)."""

from __future__ import annotations

import numpy as np

from medrestore.data.phantoms.ct_tissues import AIR, FAT, LUNG, MUSCLE
from medrestore.data.phantoms.ct_torso import (
    Build,
    artery,
    enhanced,
    ribs,
    spine,
    spot,
    spots,
    vein_blood,
    wall,
)
from medrestore.data.phantoms.section import Canvas, Shape, around, ramp, tree
from medrestore.data.phantoms.texture import Array, smoothstep

LEVELS = (4.0, 150.0)  # mm


def paint_chest(rng: np.random.Generator, canvas: Canvas, build: Build) -> None:
    """Paint the slice at the canvas' level; `rng` is the patient's, so that all slices show one anatomy."""
    z = canvas.z
    wide = 0.84 + 0.16 * ramp(-10, 90, z)
    across = (build.width - build.fat - 19) * wide
    down = (build.depth - build.fat - 27) * (0.88 + 0.12 * wide)
    middle = -12.0
    border = canvas.border
    body = canvas.outline(0, build.width * (0.93 + 0.07 * wide), build.depth)
    cavity = canvas.outline(middle, across, down, 2.3)
    back = middle + down - 13  # middle of the vertebrae
    phase = rng.uniform(0, 1, 2)

    breasts = _breasts(canvas, build, around(rng, 66))
    wall(canvas, build, body, cavity)
    for breast in breasts:  # no skin between the breast and the chest wall
        canvas.fill(Shape(breast.box, np.minimum(breast.depth - 2, 3 - body.depth[breast.box])), FAT)
    _scapulae(canvas, build, across, middle, rng.uniform(0, 20))
    lungs = _lungs(rng, canvas, cavity, middle, across, down)
    ribs(canvas, build, cavity, middle, 14, 330, float(phase[0]))
    sternum = canvas.ellipse(0, middle - down - 4, 19 + 6 * np.cos(z / 17), 5.5, 0, 0.8 * border)
    canvas.bone(sternum, 1.3, 140)
    _mediastinum(rng, canvas, build, lungs, back, middle - down, border)
    spine(canvas, build, back, 18.5, 14.5, float(phase[1]), ribbed=True)


def _breasts(canvas: Canvas, build: Build, side: float) -> list[Shape]:
    """Fat and strands of gland in front of the chest wall of a woman."""
    gland = smoothstep(0.3, 0.08, np.abs(canvas.ripple(44)))
    shapes = []
    for sign in (-1, 1) if build.female else ():
        breast = canvas.ball((sign * side, -build.depth + 16, 80), (60, 40, 64), sign * 0.25, canvas.border)
        canvas.fill(breast, 20.0)
        canvas.fill(breast.inset(2.0), FAT + 125 * gland * (build.age < 0.6) + 20 * gland)
        shapes.append(breast)
    return shapes


def _scapulae(canvas: Canvas, build: Build, across: float, middle: float, start: float) -> None:
    """Shoulder blades: thin plates of bone behind the ribs, in the upper part, with muscle around."""
    size = 1 - ramp(40, 80, canvas.z + start)
    for side in (-1, 1):
        x, y = side * (across * 0.8 + 8), middle + 58
        muscle = canvas.ellipse(x, y, (46 * size + 1), (19 * size + 1), -side * 0.8, 2 * canvas.ripple(80))
        canvas.fill(muscle, MUSCLE - 130 * smoothstep(0.15, 0.03, np.abs(canvas.ripple(60))), size)
        blade = canvas.ellipse(x, y, 38 * size + 0.1, 3.6 * size + 0.1, -side * 0.8, 1.0 * canvas.ripple(50))
        canvas.bone(blade, 1.4, 160)
        spine_of_it = canvas.ellipse(x + side * 9, y + 9, 17 * size + 0.1, 3.0 * size + 0.1, side * 0.5)
        canvas.bone(spine_of_it, 1.4, 160)


def _lungs(rng: np.random.Generator, canvas: Canvas, cavity: Shape, middle: float, across: float, down: float) -> Shape:
    """Air, dependent density, vessels cut across and along, airways with their walls, fissures, nodules."""
    side = np.repeat((-1.0, 1.0), 45)
    start = np.column_stack([side * rng.uniform(28, 50, 90), rng.normal(2, 14, 90), rng.uniform(-20, 165, 90)])
    heading = np.column_stack([side, rng.normal(0.1, 1.1, 90), rng.normal(0, 0.35, 90) + (start[:, 2] - 50) / 120])
    generations = (75, 330, 0.5, 1.5, 0.9), (45, 1100, 0.9, 0.95, 0.6), (26, 0, 1.2, 0.7, 0.45)
    vessels = tree(rng, start, heading, generations)
    airways = tree(
        rng, start[::6] + rng.normal(0, 2, (15, 3)), heading[::6], ((40, 30, 0.5, 1.8, 1), (25, 0, 0.8, 1.3, 1))
    )
    nodules = spots(rng, 24, np.array([-120, -70, 0]), np.array([120, 70, 150]), (1.6, 4.5))
    grains = spots(rng, 12, np.array([-120, -70, 0]), np.array([120, 70, 150]), (1.6, 2.8))
    mass = rng.uniform((55, -35, 20), (80, 40, 130)) * (rng.choice((-1, 1)), 1, 1)
    has_mass, emphysema, size = rng.random() < 0.4, rng.random(), rng.uniform(9, 19)

    lungs = cavity.inset(2.2)
    lower = smoothstep(-down, down, canvas.y - np.float32(middle))
    tissue = LUNG + 55 * lower**2 + 12 * canvas.ripple(45) + 9 * canvas.weave
    tissue -= 60 * emphysema * smoothstep(0.9, 1.6, canvas.ripple(30))
    canvas.fill(cavity, MUSCLE)
    canvas.fill(lungs, tissue)
    for side, slope in ((-1, 0.5), (1, 0.7)):  # a fissure is a sheet that the slice cuts along a faint line
        line = np.abs(canvas.y - np.float32(40 - canvas.z * 0.5) + side * canvas.x * np.float32(slope) - 20)
        canvas.mix(lungs.box, -700.0, np.clip(1.2 - line, 0, 1) * (side * canvas.x > 25) * canvas.cover(lungs) * 0.6)
    peel = canvas.cover(lungs.inset(3.0))
    canvas.mix(lungs.box, 40.0, canvas.lines(vessels, 3.0) * peel)
    tube = canvas.lines([(points, radius + 0.9, 0.8) for points, radius, _ in airways], 2.0) * peel
    canvas.mix(lungs.box, -120.0, np.minimum(tube * 1.3, 1) * 0.6)
    canvas.mix(lungs.box, AIR + 30, canvas.lines([(p, r - 0.4, 0.6) for p, r, _ in airways], 2.0) * peel)
    for place in nodules:
        spot(canvas, place, 35.0, 0.4 * canvas.weave, lungs)
    for place in grains:
        spot(canvas, place, 480.0, None, lungs)
    if has_mass:
        rough = 5 * canvas.ripple(22) * smoothstep(0, 1, canvas.ripple(40)) + 0.8 * canvas.weave
        canvas.fill(canvas.ball(mass, (size, size * 0.85, size), 0.5, rough).within(lungs, -2), 38 + 6 * canvas.weave)
    return lungs


def _mediastinum(
    rng: np.random.Generator, canvas: Canvas, build: Build, lungs: Shape, back: float, front: float, border: Array
) -> None:
    """Fat with the great vessels, windpipe, gullet, nodes and the heart; below, the dome of the liver."""
    z, down = canvas.z, 0.5 * (back + 13 - front)
    blood, veins = build.blood, vein_blood(build)
    shift, turn, plaque = rng.normal(0, 3, 2), rng.normal(0, 0.06), rng.uniform(0, 6.28, 3)
    width = 25 + 16 * ramp(25, 50, z) + 8 * ramp(60, 110, z)
    dome = canvas.ball((-66, 4, around(rng, 196, 0.05)), (72, 68, 68), 0.1, 2 * border)
    left_dome = canvas.ball((72, 14, around(rng, 205, 0.04)), (56, 52, 62), 0.1, 2 * border)
    liver, spleen = enhanced(rng, build, 56, 0.3), enhanced(rng, build, 50, 0.4)
    nodes = spots(rng, 16, np.array([-28, -35, 0]), np.array([28, 20, 100]), (2.5, 5.5))
    bits = spots(rng, 14, np.array([-20, -45, 30]), np.array([50, 5, 140]), (1.2, 2.4))
    canvas.fill(dome.within(lungs), liver + 4 * canvas.weave)
    canvas.fill(left_dome.within(lungs), spleen + 4 * canvas.weave)

    strands = smoothstep(0.14, 0.03, np.abs(canvas.ripple(38)))
    fat = FAT + 45 * strands
    canvas.fill(canvas.ellipse(1, front + 0.62 * down, width * 0.9, 0.66 * down, 0, 3 * border).within(lungs, -3), fat)
    canvas.fill(canvas.ellipse(4, back - 26, width * 0.95, 30, 0, 3 * border).within(lungs, -3), fat)

    heart = canvas.ball((27 + shift[0], -24, 112), (61, 46, 62), 0.62 + turn, 2.5 * border)
    x0, y0 = 27 + shift[0], -24.0
    canvas.fill(heart, fat)
    canvas.fill(heart.inset(1.0), 35.0, 0.7)
    canvas.fill(heart.inset(2.0), fat)
    muscle = heart.inset(4.5 + 2.2 * np.clip(border[heart.box], -1.5, 1.5))
    wall_hu = 46 + 0.3 * (blood - 42)
    canvas.fill(muscle, wall_hu + 3 * canvas.weave)
    chambers = (((x0 + 19, y0 + 6, 116), (24, 17, 42), 0.75, blood), ((x0 - 6, y0 - 19, 120), (29, 15, 40), 0.5, veins))
    atria = ((x0 - 41, y0 + 6, 104), (17, 22, 34), 0.3, veins), ((x0 - 10, y0 + 30, 88), (28, 14, 24), 0.1, blood)
    for place, axes, tilt, value in (*chambers, *atria):
        chamber = canvas.ball(place, axes, tilt, 1.2 * canvas.ripple(42))
        canvas.fill(chamber.within(lungs, -3), value + 3 * canvas.weave)
    for place in bits:  # calcified coronary arteries and valves
        if build.age > 0.5:
            spot(canvas, place, 520.0)

    for place in nodes:
        spot(canvas, place, 42.0, 0.8 * border)
    vessels = (
        ((-29, -26, 30), (9.5, 8.5, 70), veins),
        ((22, -34, 42), (14.5, 18, 16), veins),
        ((-8, -9, 48), (42, 9.0, 11), veins),
        ((30, -10, 44), (20, 8.5, 11), veins),
        ((-34, 9, 74), (20, 7, 9), blood),
        ((34, 11, 72), (20, 7, 9), blood),
    )
    for place, axes, value in vessels:
        shape = canvas.ball(place, axes, 0.15, 1.5 * border)
        canvas.fill(shape, 46.0)
        canvas.fill(shape.inset(1.0), value + 3 * canvas.weave)
    if z < 84:
        artery(canvas, canvas.ball((-11 + shift[1], -34 + z * 0.05, 48), (16.5, 16.5, 42)), build, plaque[0])
    arch = canvas.ball((6, -6, 4), (16, 42, 13), -0.55, 1.0 * border)
    artery(canvas, arch, build, plaque[1])
    artery(canvas, canvas.ellipse(21 - z * 0.05, back - 24 + z * 0.04, 12.5, 12.5), build, plaque[2])
    gullet = canvas.ellipse(7, back - 27 + shift[1], 9, 6, 0.2, 1.0 * border)
    canvas.fill(gullet, 42.0)
    canvas.fill(gullet.inset(4.0), -500.0)
    _windpipe(canvas, z)


def _windpipe(canvas: Canvas, z: float) -> None:
    """Trachea, its fork at 46 mm, and the main bronchi that run outwards below."""
    spread = max(0.0, z - 40) * 1.5
    for side in (-1, 1):
        x = side * (spread if z > 40 else 0.0)
        tube = canvas.ellipse(x, 4 + 0.1 * z, 10.5 - 0.07 * z, 10.5 - 0.09 * z + 0.4)
        if z < 68:
            canvas.fill(tube, 55 + 90 * smoothstep(0.6, 1.4, canvas.weave))
            canvas.fill(tube.inset(1.6), AIR + 5)
