import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from medrestore.data.phantoms import CervixPhantom
from medrestore.data.phantoms.cervix_anatomy import draw_patient, draw_view
from medrestore.errors import MedrestoreError


def phantom(
    patients: int = 6, images_per_patient: int = 2, size: int = 96, data_seed: int = 0, natural_patients: int = 0
) -> CervixPhantom:
    return CervixPhantom(patients, images_per_patient, size, data_seed, natural_patients)


def pixels(source: CervixPhantom, index: int) -> torch.Tensor:
    return source.load(source.catalogue().items[index]).pixels


def test_catalogue_keeps_the_contract():
    catalogue = phantom(patients=12, images_per_patient=3).catalogue()
    items = catalogue.items
    assert len(items) == 36
    assert catalogue.left_out == () and catalogue.notes == ()
    assert len({item.key for item in items}) == 36
    assert all(re.fullmatch("[0-9a-f]{12}", item.key) for item in items)
    groups = [item.group for item in items]
    assert len(set(groups)) == 12 and all(groups.count(group) == 3 for group in groups)
    assert {(item.role, item.source, item.split, item.path) for item in items} == {
        ("target", "cervix_phantom", "", None)
    }


def test_no_key_tells_the_patient():
    items = phantom(patients=300, images_per_patient=2, data_seed=5).catalogue().items
    assert not any(item.group in item.key or item.group.removeprefix("patient") in item.key for item in items)
    by_patient = {}
    for item in items:
        by_patient.setdefault(item.group, []).append(item.key)
    shared = [sum(a == b for a, b in zip(*keys, strict=True)) for keys in by_patient.values()]
    assert np.mean(shared) == pytest.approx(12 / 16, abs=0.2)  # two keys of a patient agree by chance only


def test_labels_hold_for_the_patient_and_half_are_abnormal():
    items = phantom(patients=20, images_per_patient=3).catalogue().items
    labels = {item.group: item.label for item in items}
    assert all(item.label == labels[item.group] for item in items)
    assert list(labels.values()).count("abnormal") == list(labels.values()).count("normal") == 10
    order = list(labels.values())
    assert order != ["abnormal", "normal"] * 10 and order != ["normal", "abnormal"] * 10


def test_image_is_a_photograph_on_8_bit_levels():
    source = phantom()
    item = source.catalogue().items[0]
    image = source.load(item)
    assert image.pixels.shape == (3, 96, 96) and image.pixels.dtype == torch.float32
    assert image.pixels.min() >= 0 and image.pixels.max() <= 1
    assert torch.equal(image.pixels, (image.pixels * 255).round() / 255)
    assert (image.unit, image.group, image.spacing, image.window, image.mask) == (
        "intensity",
        item.group,
        None,
        None,
        None,
    )
    assert image.metadata["format"] == "phantom" and image.metadata["bits"] == 8
    assert source.load_degraded(item) is None and source.load_mask(item) is None


def test_image_depends_on_nothing_but_seed_patient_and_image():
    few, many = phantom(patients=2, images_per_patient=1), phantom(patients=6, images_per_patient=2)
    pixels(many, 7)  # what was drawn before does not matter
    assert torch.equal(pixels(few, 1), pixels(many, 2))
    assert few.catalogue().items[1] == many.catalogue().items[2]


def test_seeds_patients_and_images_differ():
    first = pixels(phantom(), 0)
    for other in (pixels(phantom(data_seed=1), 0), pixels(phantom(), 1), pixels(phantom(), 2)):
        assert (first - other).abs().mean() > 0.01
    assert phantom().catalogue().items[0].key != phantom(data_seed=1).catalogue().items[0].key


def test_boxes_are_tight_around_the_parts_of_the_lesion_mask():
    source = phantom(patients=10)
    for item in source.catalogue().items:
        truth = source.annotations(item)
        mask, boxes = truth["lesion_mask"], truth["boxes"]
        assert mask.shape == (1, 96, 96) and mask.dtype == torch.bool
        assert boxes.shape[1:] == (4,) and boxes.dtype == torch.float32
        assert truth["label"] == item.label == ("abnormal" if len(boxes) else "normal")
        parts, count = ndimage.label(mask[0], structure=np.ones((3, 3)))
        expected = []
        for part in range(1, count + 1):
            rows, columns = np.nonzero(parts == part)
            expected.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert sorted(boxes.tolist()) == sorted(expected)
        assert boxes.numel() == 0 or (boxes.min() >= 0 and boxes.max() <= 96)


def test_lesions_are_whiter_than_their_surroundings():
    source = phantom(patients=8, images_per_patient=1)
    for item in source.catalogue().items:
        mask = source.annotations(item)["lesion_mask"][0].numpy()
        if not mask.any():
            continue
        ring = ndimage.binary_dilation(mask, iterations=5) & ~ndimage.binary_dilation(mask, iterations=1)
        red, green, _ = source.load(item).pixels.numpy()
        redness = (red - green) / (red + green + 1e-3)
        assert redness[mask].mean() < redness[ring].mean() - 0.02


def test_images_of_a_patient_share_colour_and_lesions():
    source = phantom(patients=12, images_per_patient=2)
    items = source.catalogue().items
    colour = np.array([source.load(item).pixels.mean((1, 2)).numpy() for item in items])
    chroma = np.log(colour[:, 1:] / colour[:, :1])
    distance = np.linalg.norm(chroma[:, None] - chroma[None], axis=2)
    same = np.kron(np.eye(12), np.ones((2, 2))) > 0
    assert distance[same & ~np.eye(24, dtype=bool)].mean() < 0.4 * distance[~same].mean()


def test_views_show_the_same_places():
    patient = draw_patient(np.random.default_rng(0), 128, abnormal=True)
    one, other = (draw_view(np.random.default_rng(seed), patient, 128) for seed in (1, 2))
    places = np.stack([one.row[one.lesion], one.column[one.lesion]], 1)
    np.testing.assert_allclose(one.project(places), np.argwhere(one.lesion), atol=1e-3)
    moved = np.round(other.project(places)).astype(int)
    assert np.abs(moved - np.argwhere(one.lesion)).mean() > 1
    assert other.lesion[moved[:, 0], moved[:, 1]].mean() > 0.9


def test_pictures_are_sharp_and_not_noise():
    """A small blur costs detail, and the spectrum falls as in a focused photograph."""
    source = phantom(patients=4, images_per_patient=1, size=256)
    for index in range(4):
        picture = pixels(source, index).numpy().astype(np.float64)
        blurred = ndimage.gaussian_filter(picture, (0, 0.95, 0.95))
        assert 29 < -10 * np.log10(np.square(picture - blurred).mean()) < 38
        window = np.outer(np.hanning(256), np.hanning(256))
        spectrum = np.fft.fft2((picture[1] - picture[1].mean()) * window)
        deviation = np.abs(spectrum) / np.sqrt(np.square(window).sum())  # white noise of sd s gives s on average
        frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
        bands = (0.03, 0.06), (0.09, 0.18), (0.27, 0.5)
        coarse, middle, fine = (
            np.sqrt(np.square(deviation[(frequency >= low) & (frequency < high)]).mean()) for low, high in bands
        )
        assert coarse > 2 * middle > 4 * fine  # amplitude falls about as 1 / frequency
        assert fine > 3 / 255
        # Noise after J. Immerkaer, "Fast noise variance estimation", CVIU 1996; the median leaves out edges.
        residual = ndimage.convolve(picture[1], np.outer([1, -2, 1], [1, -2, 1]) / 6)
        assert np.median(np.abs(residual)) / 0.6745 < 1.6 / 255


@pytest.mark.parametrize("size", [64, 97])
def test_any_size_from_64(size):
    source = phantom(size=size)
    assert pixels(source, 3).shape == (3, size, size)


@pytest.mark.parametrize(
    "argument", [{"patients": 0}, {"images_per_patient": 0}, {"size": 63}, {"natural_patients": -1}]
)
def test_numbers_too_small_are_refused(argument):
    with pytest.raises(MedrestoreError, match=f"{next(iter(argument))} is too small .*at least"):
        phantom(**argument)


def test_a_foreign_item_is_refused():
    source = phantom()
    with pytest.raises(MedrestoreError, match="no image with key 000000000000 in cervix_phantom"):
        source.load(replace(source.catalogue().items[0], key="0" * 12))


def test_the_natural_set_is_of_other_patients_and_leaves_the_sharp_ones_as_they_were():
    source = phantom(patients=4, natural_patients=6)
    items = source.catalogue().items
    sharp, natural = items[:8], items[8:]
    alone = phantom(patients=4)
    assert sharp == alone.catalogue().items
    assert torch.equal(pixels(source, 5), pixels(alone, 5))
    assert len(natural) == 12 and {item.role for item in natural} == {"source"}
    assert not {item.group for item in sharp} & {item.group for item in natural}
    labels = {item.group: item.label for item in natural}
    assert sorted(labels.values()) == ["abnormal"] * 3 + ["normal"] * 3
    for item in natural:
        assert len(source.annotations(item)["boxes"]) > 0 or item.label == "normal"
    assert CervixPhantom(patients=2).catalogue().items[-1].group == "natural0007"


def test_natural_images_do_not_depend_on_what_else_there_is():
    one = phantom(patients=1, images_per_patient=1, natural_patients=1)
    many = phantom(patients=5, natural_patients=3)
    assert torch.equal(pixels(one, 1), pixels(many, 10))


def test_natural_images_lack_detail_and_stay_photographs():
    source = phantom(patients=6, images_per_patient=1, size=128, natural_patients=6)

    def detail(index: int) -> float:
        picture = pixels(source, index).numpy().astype(np.float64)
        np.testing.assert_allclose(picture * 255, np.round(picture * 255), atol=1e-4)
        smooth = ndimage.gaussian_filter(picture, (0, 0.8, 0.8))  # what is left of the noise after a little smoothing
        return float(np.abs(np.diff(smooth, axis=2)).mean())

    sharp, natural = [detail(index) for index in range(6)], [detail(index) for index in range(6, 12)]
    assert max(natural) < np.median(sharp)
    assert np.mean(natural) < 0.75 * np.mean(sharp)
