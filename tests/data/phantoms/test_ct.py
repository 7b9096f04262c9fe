import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from medrestore.data.phantoms.ct import STEP, CTPhantom, _level
from medrestore.data.phantoms.ct_scan import Protocol, scan
from medrestore.data.phantoms.section import Canvas, tree
from medrestore.data.seeding import generator_of
from medrestore.degradations import MotionBlur
from medrestore.errors import MedrestoreError
from medrestore.imaging import WINDOWS, Image, to_unit
from medrestore.metrics import psnr

SOFT = WINDOWS["soft_tissue"]


def phantom(patients: int = 6, slices_per_patient: int = 2, size: int = 96, data_seed: int = 0) -> CTPhantom:
    return CTPhantom(patients, slices_per_patient, size, data_seed)


def image(source: CTPhantom, index: int) -> Image:
    return source.load(source.catalogue().items[index])


def canvas(size: int = 64, spacing: float = 1.0, z: float = 0.0) -> Canvas:
    return Canvas(np.random.default_rng(0), size, spacing, (0.0, 0.0), z, -1000.0)


def test_catalogue_keeps_the_contract():
    catalogue = phantom(patients=12, slices_per_patient=3).catalogue()
    items = catalogue.items
    assert len(items) == len({item.key for item in items}) == 36
    assert catalogue.left_out == () and catalogue.notes == ()
    assert all(re.fullmatch("[0-9a-f]{12}", item.key) for item in items)
    groups = [item.group for item in items]
    assert len(set(groups)) == 12 and all(groups.count(group) == 3 for group in groups)
    assert {(item.role, item.source, item.split, item.path) for item in items} == {("target", "ct_phantom", "", None)}


def test_regions_hold_for_the_patient_and_are_equally_many():
    source = phantom(patients=18, slices_per_patient=2)
    labels = {item.group: item.label for item in source.catalogue().items}
    assert all(item.label == labels[item.group] for item in source.catalogue().items)
    order = list(labels.values())
    assert {region: order.count(region) for region in order} == {"chest": 6, "abdomen": 6, "head": 6}
    assert order != order[:3] * 6  # not always in the same order
    item = source.catalogue().items[5]
    assert source.annotations(item) == {"label": item.label}


def test_slice_is_ct_in_whole_hu():
    source = phantom()
    item = source.catalogue().items[0]
    found = source.load(item)
    assert found.pixels.shape == (1, 96, 96) and found.pixels.dtype == torch.float32
    assert found.pixels.min() >= -1024 and found.pixels.max() <= 3071
    assert torch.equal(found.pixels, found.pixels.round())
    assert (found.unit, found.window, found.group) == ("HU", SOFT, item.group)
    assert found.spacing is not None and 1 < found.spacing[0] == found.spacing[1] < 8
    assert found.metadata == {"format": "phantom", "bits": 16}
    assert source.load_degraded(item) is None and source.load_mask(item) is None


def test_outside_the_round_field_of_view_nothing_was_measured():
    source = phantom(patients=12, slices_per_patient=1)
    masks = [(image(source, index).mask, image(source, index).pixels) for index in range(12)]
    assert 0 < sum(mask is None for mask, _ in masks) < 12
    row, column = np.mgrid[:96, :96] - 47.5
    for mask, pixels in masks:
        if mask is not None:
            np.testing.assert_array_equal(mask[0].numpy(), np.hypot(row, column) <= 48)
            assert (pixels[~mask] == pixels[mask].min()).all()


def test_image_depends_on_nothing_but_seed_patient_and_slice():
    few, many = phantom(patients=2, slices_per_patient=1), phantom(patients=6, slices_per_patient=3)
    image(many, 7)  # what was drawn before does not matter
    assert torch.equal(image(few, 1).pixels, image(many, 3).pixels)
    assert few.catalogue().items[1] == many.catalogue().items[3]


def test_seeds_patients_and_slices_differ():
    first = image(phantom(), 0)
    for other in (image(phantom(data_seed=1), 0), image(phantom(), 1), image(phantom(), 2)):
        assert (to_unit(first.pixels, SOFT) - to_unit(other.pixels, SOFT)).abs().mean() > 0.01
    assert phantom().catalogue().items[0].key != phantom(data_seed=1).catalogue().items[0].key


def test_neighbouring_slices_are_sections_of_one_anatomy():
    """The further apart two slices are the less they agree, and other patients of the region agree least."""
    source = phantom(patients=6, slices_per_patient=4)
    items = source.catalogue().items
    smooth = {
        item.key: ndimage.gaussian_filter(to_unit(source.load(item).pixels, SOFT)[0].numpy(), 1.0) for item in items
    }

    def apart(first: int, second: int) -> float:
        return float(np.abs(smooth[items[first].key] - smooth[items[second].key]).mean())

    near = np.mean([apart(4 * p + i, 4 * p + i + 1) for p in range(6) for i in range(3)])
    far = np.mean([apart(4 * p, 4 * p + 3) for p in range(6)])
    region = [item.label for item in items]
    others = np.mean([apart(4 * p, 4 * q) for p in range(6) for q in range(p) if region[4 * p] == region[4 * q]])
    assert near < 0.8 * far and far < 0.8 * others


def test_levels_go_by_steps_and_turn_at_the_ends():
    levels = [_level(np.random.default_rng(3), "head", number) for number in range(60)]
    assert np.abs(np.diff(levels)).max() == pytest.approx(STEP)
    assert min(levels) >= 1.0 and max(levels) <= 91.0
    assert min(levels) < 1.0 + STEP and max(levels) > 91.0 - STEP


def shares(pixels: torch.Tensor) -> dict[str, float]:
    return {
        name: float(((pixels >= low) & (pixels <= high)).float().mean())
        for name, low, high in (
            ("lung", -915, -700),
            ("fat", -130, -70),
            ("soft", 0, 100),
            ("brain", 20, 50),
            ("bone", 200, 3071),
        )
    }


def test_regions_have_their_tissues():
    source = CTPhantom(patients=6, slices_per_patient=1, size=128)
    for item in source.catalogue().items:
        found = shares(source.load(item).pixels[:, 24:96, 24:104])  # without the couch's foam
        assert found["bone"] > 0.005 and found["soft"] > 0.08 and found["fat"] > 0.02
        if item.label == "chest":
            assert found["lung"] > 0.06
        elif item.label == "head":
            assert found["brain"] > 0.1 and found["bone"] > 0.05
        else:
            assert found["lung"] < 0.035 and found["fat"] > 0.06


def test_organs_have_their_hu():
    """Medians of what anatomy puts at known places."""
    source = CTPhantom(patients=9, slices_per_patient=1, size=128)
    for item in source.catalogue().items:
        found = source.load(item)
        pixels = found.pixels[0]
        inside = pixels[64 - 40 : 64 + 40, 64 - 40 : 64 + 40]
        if item.label == "chest":
            lung = inside[(inside > -950) & (inside < -700)]
            assert -900 < float(lung.median()) < -820
        elif item.label == "head":
            brain = inside[(inside > 0) & (inside < 80)]
            assert 22 < float(brain.median()) < 42
        else:
            fat = pixels[(pixels > -150) & (pixels < -60)]
            assert -112 < float(fat.median()) < -85


def test_blur_hurts_as_it_hurts_real_slices():
    """A path of 20 px costs at 256 px as much as on patients: 16 to 31 dB remain in the soft-tissue window."""
    source = CTPhantom(patients=3, slices_per_patient=2, size=256)
    blurring, values = MotionBlur("small"), []
    for item in source.catalogue().items:
        sharp = source.load(item)
        moved = blurring.apply(sharp.pixels, blurring.sample(generator_of(0, item.key)))
        mask = None if sharp.mask is None else sharp.mask[None]
        values.append(float(psnr(to_unit(moved, SOFT)[None], to_unit(sharp.pixels, SOFT)[None], mask=mask)))
    assert all(13 < value < 30 for value in values)
    assert 17 < np.mean(values) < 24


def test_there_is_detail_at_the_scale_of_pixels():
    """A blur of a pixel costs much more than the noise does."""
    source = CTPhantom(patients=3, slices_per_patient=1, size=256)
    for item in source.catalogue().items:
        sharp = to_unit(source.load(item).pixels, SOFT)[0].numpy()
        lost = sharp - ndimage.gaussian_filter(sharp, 1.0)
        assert np.sqrt(np.square(lost).mean()) > 0.02
        # Noise after J. Immerkaer, "Fast noise variance estimation", CVIU 1996, where there is soft tissue only.
        flat = ndimage.binary_erosion((sharp > 0.3) & (sharp < 0.7), iterations=2)
        residual = ndimage.convolve(sharp, np.outer([1, -2, 1], [1, -2, 1]) / 6)
        assert 1 < 350 * np.median(np.abs(residual[flat])) / 0.6745 < 25


@pytest.mark.parametrize("size", [64, 97])
def test_any_size_from_64(size):
    source = phantom(patients=3, size=size)
    for index in (0, 2, 4):
        assert image(source, index).pixels.shape == (1, size, size)


def test_the_field_of_view_is_the_same_at_every_size():
    small, large = image(phantom(patients=1, size=64), 0), image(phantom(patients=1, size=128), 0)
    assert small.spacing is not None and large.spacing is not None
    assert 64 * small.spacing[0] == pytest.approx(128 * large.spacing[0])
    shrunk = torch.nn.functional.avg_pool2d(to_unit(large.pixels, SOFT), 2)
    assert (shrunk - to_unit(small.pixels, SOFT)).abs().mean() < 0.05


@pytest.mark.parametrize("argument", [{"patients": 0}, {"slices_per_patient": 0}, {"size": 63}])
def test_numbers_too_small_are_refused(argument):
    with pytest.raises(MedrestoreError, match=f"{next(iter(argument))} is too small .*at least"):
        phantom(**argument)


def test_a_foreign_item_is_refused():
    source = phantom()
    with pytest.raises(MedrestoreError, match="no image with key 000000000000 in ct_phantom"):
        source.load(replace(source.catalogue().items[0], key="0" * 12))


def test_ellipse_has_its_area_and_depth():
    paper = canvas(128, 0.5)
    shape = paper.ellipse(2.0, -3.0, 14.0, 9.0, 0.6)
    assert float(paper.cover(shape).sum()) * 0.25 == pytest.approx(np.pi * 14 * 9, rel=0.01)
    disc = paper.whole(paper.ellipse(0.25, 0.25, 10.0, 10.0))
    assert disc.depth[64, 64 + 10] == pytest.approx(5, abs=1e-3) and disc.depth[64, 64 + 30] < -4


def test_section_of_a_ball_shrinks_and_vanishes():
    areas = []
    for z in (0.0, 6.0, 11.0):
        paper = canvas(z=z)
        areas.append(float(paper.cover(paper.ball((0, 0, 0), (10, 10, 10))).sum()))
    assert areas == pytest.approx([np.pi * 100, np.pi * 64, 0], rel=0.01)


def test_bone_has_a_shell_and_painting_stays_in_the_shape():
    paper = canvas(64, 0.5)
    paper.bone(paper.ellipse(0, 0, 10, 10), 2.0, core=200.0, cortex=1000.0)
    row = paper.values[32]
    assert row[13] == pytest.approx(1000, abs=1) and row[10] == -1000  # 9.25 mm and 10.75 mm from the middle
    assert abs(float(np.median(paper.values[24:40, 24:40])) - 200) < 40


def test_tree_branches_from_its_trunks():
    rng = np.random.default_rng(0)
    start, heading = np.zeros((3, 3)), np.array([[1.0, 0, 0], [0, 2.0, 0], [0, 0, 1.0]])
    trunks, branches = tree(rng, start, heading, ((20, 5, 0.0, 2.0, 1.0), (10, 0, 0.5, 1.0, 0.5)))
    assert trunks[0].shape == (60, 3) and trunks[1:] == (2.0, 1.0)
    np.testing.assert_allclose(trunks[0].reshape(3, 20, 3)[:, -1], 20 * np.eye(3), atol=1e-4)
    first = branches[0].reshape(5, 10, 3)[:, 0]
    gaps = np.linalg.norm(first[:, None] - trunks[0][None], axis=2).min(axis=1)
    assert gaps.max() < 1.01  # the first step of 1 mm


def test_scan_rounds_clips_and_adds_the_stated_noise():
    paper = canvas(128, 3.0)
    paper.values[:] = 0.0
    protocol = Protocol(field=384.0, noise=10.0, sigma=0.5, shortest=2.5, round_field=False)
    pixels, valid = scan(np.random.default_rng(1), paper, protocol)
    assert valid is None and np.array_equal(pixels, np.rint(pixels))
    assert pixels[32:96, 32:96].std() == pytest.approx(10, rel=0.1)
    paper.values[:] = 9000.0
    assert scan(np.random.default_rng(1), paper, protocol)[0].max() == 3071
