"""What stands and moves in the street phantom: trees, lamps, traffic lights, signs, people, cars with number plates."""

from __future__ import annotations

import numpy as np

from medrestore.data.phantoms.street_canvas import Canvas, Patch, across, along
from medrestore.data.phantoms.street_font import ink
from medrestore.data.phantoms.street_scene import MAP, Camera, Street, Thing
from medrestore.data.phantoms.texture import Array
from medrestore.data.street_classes import CAR, PERSON, POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN, VEGETATION

LENGTH = 4.2  # of a car, metres


def _rgb(red: float, green: float, blue: float) -> Array:
    return np.array([red, green, blue], np.float32)


def paint_thing(canvas: Canvas, street: Street, camera: Camera, thing: Thing) -> None:
    """Paint one thing over what is behind it."""
    match thing.kind:
        case "tree":
            _tree(canvas, street, camera, thing)
        case "lamp":
            _lamp(canvas, camera, thing)
        case "light":
            _light(canvas, camera, thing)
        case "limit" | "stop" | "board":
            _sign(canvas, camera, thing)
        case "person":
            _person(canvas, camera, thing)
        case "car" | "oncoming":
            _car(canvas, street, camera, thing)


def _texture(field: Array, patch: Patch, density: float, shift: int) -> Array:
    row = (patch.y * np.float32(density)).astype(np.int32) % MAP
    column = ((patch.along * np.float32(density)).astype(np.int32) + shift) % MAP
    return field.ravel().take(row * MAP + column[None])


def _post(
    canvas: Canvas, camera: Camera, x: float, z: float, width: float, low: float, high: float, grey: float
) -> None:
    patch = across(camera, z, (x - width / 2, x + width / 2), (low, high))
    if patch is not None:
        round_ = 1 - 0.45 * np.abs((patch.along - x) / (width / 2) + 0.3)
        colour = np.broadcast_to((grey * round_)[None, :, None], (*patch.y.shape, 3))
        canvas.put(patch, colour.astype(np.float32), (patch.y > low) & (patch.y < high), POLE)


def _tree(canvas: Canvas, street: Street, camera: Camera, tree: Thing) -> None:
    wide, middle, tall = 1.9 * tree.size, 4.6 * tree.size, 2.1 * tree.size
    half = 0.17 * tree.size
    patch = across(camera, tree.z, (tree.x - half, tree.x + half), (0, middle))
    if patch is not None:
        aside = (patch.along - np.float32(tree.x)) / half
        bark = 0.24 * (1 + 0.2 * _texture(street.grain, patch, 40, tree.seed)) * (1 - 0.3 * aside)[None]
        trunk = (np.abs(aside) < 0.76 + 0.24 * np.exp(-patch.y)) & (patch.y > 0)
        canvas.put(patch, bark[..., None] * _rgb(1, 0.88, 0.74), trunk, VEGETATION)

    reach = 1.35 * wide, 1.35 * tall
    patch = across(camera, tree.z, (tree.x - reach[0], tree.x + reach[0]), (middle - reach[1], middle + reach[1]))
    if patch is None:
        return
    aside = patch.along - np.float32(tree.x)
    coarse = _texture(street.clouds, patch, 32, tree.seed)
    fine = _texture(street.grain, patch, 34, tree.seed // 7)
    radius = np.hypot((aside / wide)[None], (patch.y - middle) / tall) + 0.22 * coarse
    crown = (radius + 0.05 * fine < 1) & ((radius < 0.7) | (fine + coarse > -1.2))
    light = 0.62 + 0.16 * (patch.y - middle) / tall - 0.13 * coarse - 0.12 * street.sun * (aside / wide)[None]
    leaf = light * (1 + 0.25 * fine * np.clip(12 / patch.depth, 0.35, 1))
    tint = tree.seed % 97 / 97
    canvas.put(patch, leaf[..., None] * _rgb(0.42 + 0.16 * tint, 0.56, 0.24), crown, VEGETATION)


def _lamp(canvas: Canvas, camera: Camera, lamp: Thing) -> None:
    _post(canvas, camera, lamp.x, lamp.z, 0.15, 0, 6.8, 0.42)
    inwards = -np.sign(lamp.x)
    ends = sorted((lamp.x, lamp.x + inwards * 1.5))
    arm = across(camera, lamp.z, (ends[0], ends[1]), (6.7, 6.9))
    if arm is not None:
        head = np.abs(arm.along - lamp.x) > 0.9
        colour = np.where(head[:, None], _rgb(0.85, 0.85, 0.8), _rgb(0.38, 0.38, 0.38))
        canvas.put(arm, colour[None], (np.abs(arm.y - 6.8) < np.where(head, 0.1, 0.05)), POLE)


def _light(canvas: Canvas, camera: Camera, light: Thing) -> None:
    _post(canvas, camera, light.x, light.z, 0.13, 0, 3.4, 0.36)
    patch = across(camera, light.z - 0.1, (light.x - 0.2, light.x + 0.2), (2.4, 3.5))
    if patch is None:
        return
    aside = (patch.along - np.float32(light.x))[None]
    colour = np.broadcast_to(_rgb(0.07, 0.07, 0.07), (*patch.y.shape, 3)).copy()
    lit = light.seed % 3
    for place, lamp in enumerate((_rgb(0.15, 0.9, 0.5), _rgb(1, 0.75, 0.1), _rgb(0.98, 0.18, 0.12))):
        disc = np.hypot(aside, patch.y - (2.62 + 0.33 * place)) < 0.125
        np.copyto(colour, lamp if place == lit else 0.28 * lamp, where=disc[..., None])
    canvas.put(patch, colour, (np.abs(aside) < 0.19) & (patch.y > 2.42) & (patch.y < 3.48), TRAFFIC_LIGHT)


def _sign(canvas: Canvas, camera: Camera, sign: Thing) -> None:
    half, tall = (1.05, 0.42) if sign.kind == "board" else (0.4, 0.4)
    middle = 2.55
    _post(canvas, camera, sign.x, sign.z, 0.09, 0, middle, 0.5)
    patch = across(camera, sign.z - 0.08, (sign.x - half, sign.x + half), (middle - tall, middle + tall))
    if patch is None:
        return
    right = ((patch.along - np.float32(sign.x)) / half)[None]
    up = (patch.y - middle) / tall
    edge = np.maximum(np.abs(right), np.abs(up))
    white = _rgb(0.92, 0.92, 0.9)
    if sign.kind == "board":
        inside, rim, ground, letter = edge < 1, edge > 0.93, sign.colour, white
        page = ink(sign.text, right / 1.8 + 0.5, up / 1.25 + 0.5)
    elif sign.kind == "stop":
        octagon = np.maximum(edge, (np.abs(right) + np.abs(up)) / 1.4)
        inside, rim, ground, letter = octagon < 1, octagon > 0.9, _rgb(0.7, 0.06, 0.08), white
        page = ink(sign.text, right / 1.7 + 0.5, up / 0.85 + 0.5)
    else:
        radius = np.hypot(right, up)
        inside, ground, letter = radius < 1, white, _rgb(0.05, 0.05, 0.06)
        rim = np.zeros_like(inside)
        page = ink(sign.text, right / 1.25 + 0.5, up / 1.15 + 0.5)
    colour = np.where(page[..., None], letter, np.where(rim[..., None], white, ground))
    if sign.kind == "limit":
        colour = np.where((np.hypot(right, up) > 0.78)[..., None], _rgb(0.78, 0.07, 0.08), colour)
    canvas.put(patch, colour, inside, TRAFFIC_SIGN)


def _person(canvas: Canvas, camera: Camera, person: Thing) -> None:
    size = person.size
    patch = across(camera, person.z, (person.x - 0.24 * size, person.x + 0.24 * size), (0, size))
    if patch is None:
        return
    stride = 0.03 + person.seed % 50 / 700
    right, up = ((patch.along - np.float32(person.x)) / size)[None], patch.y / np.float32(size)
    head = np.hypot(right / 0.055, (up - 0.925) / 0.072) < 1
    trunk = (np.abs(right) < 0.1 + 0.03 * np.sin(up * 4)) & (up > 0.47) & (up < 0.84)
    arms = (np.abs(np.abs(right) - 0.135 - 0.1 * (0.8 - up) * stride * 6) < 0.027) & (up > 0.45) & (up < 0.82)
    spread = stride * (0.5 - up) * 2
    legs = (np.abs(np.abs(right) - 0.045 - spread) < 0.042) & (up < 0.5) & (up >= 0)
    trousers = _rgb(0.13, 0.15, 0.24) if person.seed % 2 else _rgb(0.3, 0.27, 0.24)
    skin = _rgb(0.78, 0.58, 0.47) if person.seed % 3 else _rgb(0.45, 0.3, 0.23)
    hair = head & (up > 0.94)
    colour = np.where((up > 0.5)[..., None], person.colour, trousers)
    colour = np.where((up < 0.04)[..., None], _rgb(0.1, 0.09, 0.08), colour)
    colour = np.where(head[..., None], np.where(hair[..., None], _rgb(0.16, 0.11, 0.08), skin), colour)
    folds = 1 - 0.3 * np.abs(right) / 0.14 + 0.08 * np.sin(up * 25 + right * 40 + person.seed % 7)
    colour = colour * folds[..., None].astype(np.float32)
    canvas.put(patch, colour, head | trunk | arms | legs, PERSON)


def _car(canvas: Canvas, street: Street, camera: Camera, car: Thing) -> None:
    """The side, where it can be seen, the cabin's window, the end that faces the camera; the roof is too high."""
    half = 0.9 * car.size
    inner = car.x - half if camera.x < car.x else car.x + half
    flank = along(camera, inner, (car.z, car.z + LENGTH * car.size), (0, 1.5 * car.size))
    if flank is not None and abs(car.x - camera.x) > half:
        _flank(canvas, street, car, flank)
    back = 1.25 if car.kind == "oncoming" else 0.35  # bonnet or boot before the window
    cabin = across(camera, car.z + back * car.size, (car.x - half, car.x + half), (0.85 * car.size, 1.5 * car.size))
    if cabin is not None:
        _cabin(canvas, car, cabin, half)
    end = across(camera, car.z, (car.x - half, car.x + half), (0, 1.05 * car.size))
    if end is not None:
        _end(canvas, car, end, half)


def _flank(canvas: Canvas, street: Street, car: Thing, patch: Patch) -> None:
    """Wheels, doors, side windows; `t` runs from the rear (0) to the bonnet (1)."""
    t = ((patch.along - np.float32(car.z)) / np.float32(LENGTH * car.size))[None]
    t = 1 - t if car.kind == "oncoming" else t
    y = patch.y / np.float32(car.size)
    roof = 0.95 + 0.49 * np.clip(np.minimum((t + 0.03) / 0.14, (0.78 - t) / 0.2), 0, 1)
    inside = (y > 0.22) & (y < roof)
    glass = (y > 0.95) & (y < roof - 0.09) & (np.abs(t - 0.42) > 0.015) & (t < 0.72)
    shade = 0.72 + 0.28 * np.clip(y, 0, 1) - np.float32(0.18) * (np.abs(y - 0.62) < 0.025)
    doors = (np.abs(t - 0.42) < 0.006) | (np.abs(t - 0.68) < 0.006)
    shade -= np.float32(0.35) * (doors & (y < 0.95))
    shade *= 0.8 if street.sun * car.x > 0 else 1.0
    colour = car.colour * shade[..., None]
    mirrored = 0.2 + 0.25 * np.clip((y - 0.9) * 1.8, 0, 1)
    np.copyto(colour, mirrored[..., None] * _rgb(0.9, 1, 1.1), where=glass[..., None])
    wheels = np.minimum(np.hypot((t - 0.2) * 4.2, y - 0.32), np.hypot((t - 0.81) * 4.2, y - 0.32))
    for radius, paint in ((0.33, 0.06), (0.2, 0.55), (0.14, 0.25), (0.1, 0.5)):
        np.copyto(colour, np.float32(paint), where=(wheels < radius)[..., None])
    canvas.put(patch, colour, inside | (wheels < 0.33), CAR)


def _cabin(canvas: Canvas, car: Thing, patch: Patch, half: float) -> None:
    right = ((patch.along - np.float32(car.x)) / half)[None]  # -1 to 1
    y = patch.y / np.float32(car.size)
    width = 1 - 0.16 * np.clip((y - 0.9) / 0.55, 0, 1)
    glass = (y < 1.34) & (np.abs(right) < width - 0.09)
    sky = 0.16 + 0.35 * np.clip((y - 0.95) * 1.6 + 0.25 * right, 0, 0.8)
    colour = np.where(glass[..., None], sky[..., None] * _rgb(0.88, 1, 1.12), car.colour)
    canvas.put(patch, colour, (np.abs(right) < width) & (y < 1.45 - 0.1 * right**4), CAR)


def _end(canvas: Canvas, car: Thing, patch: Patch, half: float) -> None:
    """Lamps, bumper and number plate."""
    right = ((patch.along - np.float32(car.x)) / half)[None]
    y = patch.y / np.float32(car.size)
    front = car.kind == "oncoming"
    aside = np.abs(right)
    body = (aside < 1) & (y > 0.2) & (y < 0.98 - 0.08 * aside**4)
    tyres = (np.abs(aside - 0.82) < 0.13) & (y <= 0.25) & (y > 0)
    shade = 0.66 + 0.3 * np.clip(y, 0, 1.2) - 0.12 * aside**3
    shade -= np.float32(0.25) * ((np.abs(y - 0.86) < 0.012) | (np.abs(y - 0.44) < 0.012))
    colour = car.colour * shade[..., None]
    lamps = (np.abs(aside - 0.8) < 0.15) & (np.abs(y - (0.66 if front else 0.74)) < 0.075)
    np.copyto(colour, _rgb(0.95, 0.95, 0.88) if front else _rgb(0.66, 0.05, 0.06), where=lamps[..., None])
    dark = (y < 0.34) | (front & (np.abs(y - 0.66) < 0.06) & (aside < 0.5))
    np.copyto(colour, _rgb(0.09, 0.09, 0.1), where=dark[..., None])
    plate_right, plate_up = right * np.float32(half / 0.54) + 0.5, (y - (0.44 if front else 0.6)) / 0.16 + 0.5
    plate = (np.abs(plate_right - 0.5) < 0.5) & (np.abs(plate_up - 0.5) < 0.5)
    letters = ink(car.text, (plate_right - 0.08) / 0.9, (plate_up - 0.06) / 0.88)
    np.copyto(colour, _rgb(0.93, 0.92, 0.86), where=plate[..., None])
    np.copyto(colour, _rgb(0.1, 0.2, 0.6), where=(plate & (plate_right < 0.06))[..., None])
    np.copyto(colour, _rgb(0.05, 0.05, 0.07), where=(plate & letters)[..., None])
    canvas.put(patch, colour, body | tyres, CAR)
