import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from medrestore.data.catalogue import Item
from medrestore.data.phantoms import FundusPhantom
from medrestore.data.phantoms.fundus_anatomy import draw_camera, draw_view, moved
from medrestore.data.seeding import seed_of
from medrestore.errors import MedrestoreError


def phantom(clear: int = 2, cataract: int = 2, pairs: int = 1, size: int = 96, data_seed: int = 0) -> FundusPhantom:
    return FundusPhantom(clear, cataract, pairs, size, data_seed)


def kind(source: FundusPhantom, name: str) -> list[Item]:
    return [item for item in source.catalogue().items if item.group.startswith(name)]


def test_catalogue_keeps_the_contract() -> None:
    catalogue = phantom(12, 9, 10).catalogue()
    items = catalogue.items
    assert len(items) == 24 + 18 + 10 == len({item.key for item in items})
    assert catalogue.left_out == () and catalogue.notes == ()
    assert all(re.fullmatch("[0-9a-f]{12}", item.key) for item in items)
    sizes = Counter(item.group for item in items)  # both eyes of a patient in one group, one of an operated patient
    assert Counter((re.sub(r"\d", "", group), size) for group, size in sizes.items()) == {
        ("clear", 2): 12,
        ("cataract", 2): 9,
        ("operated", 1): 10,
    }
    assert {(item.role, item.label, item.split) for item in items if item.role == "target"} == {
        ("target", "clear", ""),
        ("target", "operated", "test"),
    }
    natural = [item for item in items if item.role == "source"]
    assert {item.split for item in natural} == {""}
    assert {item.label for item in natural} == {"mild", "moderate", "severe"}
    assert len(FundusPhantom().catalogue().items) == 106


def test_images_are_photographs_on_8_bit_levels_black_outside_the_field_of_view() -> None:
    source = phantom()
    for item in source.catalogue().items:
        image = source.load_degraded(item) or source.load(item)  # a registered photograph lies between the levels
        assert image.pixels.shape == (3, 96, 96) and image.mask is not None and image.mask.shape == (1, 96, 96)
        assert torch.equal(image.pixels, (image.pixels * 255).round() / 255)
        assert (image.unit, image.group, image.spacing, image.window) == ("intensity", item.group, None, None)
        assert image.metadata["bits"] == 8
        mask = image.mask[0].numpy()
        outside, inside = ~ndimage.binary_dilation(mask, iterations=2), ndimage.binary_erosion(mask, iterations=2)
        bright = image.pixels.amax(0).numpy()
        assert bright[outside].max() < 0.02 and bright[inside].min() > 0.08
        assert 0.5 < mask.mean() < 0.8
        assert source.load_mask(item) is None


def test_an_image_depends_on_nothing_but_seed_patient_and_eye() -> None:
    few, many = phantom(1, 1, 1), phantom(3, 2, 3)
    many.load(many.catalogue().items[-1])  # what was drawn before does not matter
    for name in ("clear0000", "cataract0000", "operated0000"):
        for one, other in zip(kind(few, name), kind(many, name), strict=True):
            assert one == other
            assert torch.equal(few.load(one).pixels, many.load(other).pixels)
    first, second = (phantom(data_seed=seed).catalogue().items[0] for seed in (0, 1))
    assert first.key != second.key
    assert (phantom().load(first).pixels - phantom(data_seed=1).load(second).pixels).abs().mean() > 0.02


def test_vessels_are_the_dark_ridges_of_clear_eyes() -> None:
    source = FundusPhantom(4, 1, 1, 192)
    for item in [*kind(source, "clear"), *kind(source, "operated")]:
        image = source.load(item)
        vessels = source.annotations(item)["vessels"]
        assert isinstance(vessels, torch.Tensor) and vessels.dtype == torch.bool and vessels.shape == (1, 192, 192)
        assert image.mask is not None and not bool((vessels & ~image.mask).any())
        assert 0.05 < float(vessels.sum() / image.mask.sum()) < 0.16
        truth = vessels[0].numpy()
        green = image.pixels[1].numpy()
        field = ndimage.binary_erosion(image.mask[0].numpy(), iterations=4)
        beside = ndimage.binary_dilation(truth, iterations=4) & ~ndimage.binary_dilation(truth, iterations=1) & field
        assert green[truth & field].mean() < 0.88 * green[beside].mean()
        smooth = ndimage.gaussian_filter(green, 8)
        dark = np.where(field, smooth - green, -np.inf)
        deepest = dark >= np.sort(dark[field])[-int(0.04 * field.sum())]
        assert truth[deepest].mean() > 0.75  # what is darkest against its surroundings is vessel


def test_vessels_are_the_same_before_and_after_the_image_was_drawn() -> None:
    one, other = phantom(), phantom()
    item = one.catalogue().items[1]
    one.load(item)
    assert torch.equal(one.annotations(item)["vessels"], other.annotations(item)["vessels"])  # type: ignore[arg-type]


def test_left_eyes_have_their_disc_on_the_left() -> None:
    source = phantom(6, 1, 0)
    for right, left in zip(kind(source, "clear")[::2], kind(source, "clear")[1::2], strict=True):
        sides = []
        for item in (right, left):
            disc = ndimage.gaussian_filter(source.load(item).pixels[1].numpy(), 4)
            sides.append(np.unravel_index(disc.argmax(), disc.shape)[1])
        assert sides[1] < 48 < sides[0]


def test_the_eyes_of_a_patient_are_taken_with_one_camera() -> None:
    source = phantom(5, 1, 0)
    images = [source.load(item) for item in kind(source, "clear")]
    assert all(torch.equal(a.mask, b.mask) for a, b in zip(images[::2], images[1::2], strict=True))  # type: ignore[arg-type]
    colours = np.array([np.log(image.pixels.mean((1, 2)).numpy()) for image in images])
    chroma = colours[:, 1:] - colours[:, :1]
    distance = np.linalg.norm(chroma[:, None] - chroma[None], axis=2)
    same = np.kron(np.eye(5), np.ones((2, 2))) > 0
    assert distance[same & ~np.eye(10, dtype=bool)].mean() < 0.4 * distance[~same].mean()


def test_severity_is_even_graded_and_visible() -> None:
    source = phantom(3, 12, 0)
    clouded = kind(source, "cataract")
    truth = [source.annotations(item) for item in clouded]
    assert all(set(known) == {"severity"} for known in truth)  # no vessels: there is no truth
    severity = np.array([float(known["severity"]) for known in truth])  # type: ignore[arg-type]
    assert severity.min() >= 0.15 and severity.max() <= 1
    assert np.histogram(severity, bins=5, range=(0.15, 1))[0].min() >= 2
    order = [{"mild": 0, "moderate": 1, "severe": 2}[item.label] for item in clouded]
    assert [order[place] for place in severity.argsort()] == sorted(order)

    def contrast(item: Item) -> float:
        image = source.load(item)
        assert image.mask is not None
        field = ndimage.binary_erosion(image.mask[0].numpy(), iterations=6)
        green = image.pixels[1].numpy()
        detail = ndimage.gaussian_filter(green, 1) - ndimage.gaussian_filter(green, 4)
        return float(detail[field].std() / green[field].mean())

    found = np.array([contrast(item) for item in clouded])
    clear = np.array([contrast(item) for item in kind(source, "clear")])
    assert np.corrcoef(severity, found)[0, 1] < -0.6
    assert found[severity > 0.7].max() < 0.9 * clear.min()


@pytest.mark.parametrize("size", [64, 97])
def test_any_size_from_64(size: int) -> None:
    source = phantom(size=size)
    assert source.load(source.catalogue().items[0]).pixels.shape == (3, size, size)
    assert source.load_degraded(source.catalogue().items[-1]).pixels.shape == (3, size, size)  # type: ignore[union-attr]


@pytest.mark.parametrize("argument", [{"clear_patients": 0}, {"cataract_patients": -1}, {"pairs": -1}, {"size": 63}])
def test_numbers_too_small_are_refused(argument: dict) -> None:
    with pytest.raises(MedrestoreError, match=f"{next(iter(argument))} is too small .*at least"):
        FundusPhantom(**argument)


def test_a_foreign_item_is_refused() -> None:
    source = phantom()
    foreign = replace(source.catalogue().items[0], key="0" * 12)
    for call in (source.load, source.load_degraded, source.annotations):
        with pytest.raises(MedrestoreError, match="no image with key 000000000000 in fundus_phantom"):
            call(foreign)


def truth_of(item: Item, size: int) -> tuple[np.ndarray, np.ndarray]:
    """How an operated eye moved, drawn again: the matrix and offset from (row, column) after to those before."""
    patient = 2 * 10**6 + int(item.group.removeprefix("operated"))

    def drawn(eye: int, purpose: str) -> np.random.Generator:
        return np.random.default_rng(seed_of("fundus_phantom", 0, patient, eye, purpose))

    eye = int(drawn(0, "side").integers(2))
    after = draw_view(drawn(eye, "view"), draw_camera(drawn(0, "camera")), size)
    before = moved(after, drawn(eye, "moved"), size)
    turn = before.matrix @ np.linalg.inv(after.matrix)
    return turn, before.centre - turn @ after.centre


def test_pairs_show_one_eye_moved_a_little_and_are_laid_over_each_other() -> None:
    size, middle = 192, 95.5
    source = FundusPhantom(1, 0, 2, size)
    assert source.load_degraded(source.catalogue().items[0]) is None
    for item in kind(source, "operated"):
        after, before = source.load(item), source.load_degraded(item)
        assert before is not None and after.mask is not None and before.mask is not None
        assert before.pixels.shape == after.pixels.shape and not (after.mask & ~before.mask).any()
        turn, offset = truth_of(item, size)
        there = turn @ [middle, middle] + offset - middle
        assert 0.9 < np.linalg.norm(there) < 3.1  # 2 to 6 pixels on 384
        degrees = np.rad2deg(np.arctan2(turn[0, 1], turn[0, 0]))
        assert abs(degrees) < 1.5
        # Where the middle of the earlier photograph lies in the later one, and how the eye was rolled, is found again.
        found = after.metadata
        down, right = np.linalg.solve(turn, middle - offset) - middle
        assert found["registration_down"] == pytest.approx(down, abs=0.5)
        assert found["registration_right"] == pytest.approx(right, abs=0.5)
        assert found["registration_angle"] == pytest.approx(degrees, abs=0.2)
        assert found["registration_correlation"] > max(0.5, found["registration_correlation_before"])
        vessels = source.annotations(item)["vessels"]
        assert isinstance(vessels, torch.Tensor) and vessels.shape == (1, size, size) and vessels.any()
        inside = after.mask & ~vessels
        assert after.pixels[1:2][vessels & after.mask].mean() < after.pixels[1:2][inside].mean()
