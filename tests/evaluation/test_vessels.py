"""Vessels found, missed, broken and invented: every number is known or taken by an independent way."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.filters import frangi

from medrestore.data.samples import Case
from medrestore.data.vessel_truth import LONGEST, Fundus, at_working_size
from medrestore.errors import MedrestoreError
from medrestore.evaluation.assessment import SHARP, Context
from medrestore.evaluation.detection_statistics import auc
from medrestore.evaluation.vessel_maps import (
    FilterSettings,
    eroded,
    fit_filters,
    frangi_response,
    inverted_green,
    matched_response,
    own_gamma,
)
from medrestore.evaluation.vessel_pictures import VesselPictures, overlay
from medrestore.evaluation.vessel_scores import best_threshold, cl_dice, overlap_scores, vessel_scores
from medrestore.evaluation.vessel_tracking import course_of, track
from medrestore.evaluation.vessels import VesselAgreement

SIDE = 48


def tube(rows: slice = slice(23, 26), columns: slice = slice(4, 44)) -> np.ndarray:
    """A horizontal tube of three pixels."""
    drawn = np.zeros((SIDE, SIDE), bool)
    drawn[rows, columns] = True
    return drawn


EVERYWHERE = np.ones((SIDE, SIDE), bool)


# -- scores -----------------------------------------------------------------------------------------------------------


def test_a_perfect_map_scores_one_everywhere():
    cross = tube() | tube().T
    assert vessel_scores(cross.astype(float), 0.5, cross, EVERYWHERE) == dict.fromkeys(
        ("dice", "sensitivity", "precision", "specificity", "auc", "cldice"), 1.0
    )


def test_scores_of_known_counts():
    found, true = np.zeros(100, bool), np.zeros(100, bool)
    found[:20], true[12:22] = True, True  # TP 8, FP 12, FN 2, TN 78
    assert overlap_scores(found, true) == {
        "dice": 16 / 30,
        "sensitivity": 0.8,
        "precision": 0.4,
        "specificity": 78 / 90,
    }
    nothing = overlap_scores(np.zeros(9, bool), np.zeros(9, bool))
    assert nothing["specificity"] == 1 and all(math.isnan(nothing[k]) for k in ("dice", "sensitivity", "precision"))


def test_auc_is_that_of_the_pixels_inside():
    rng = np.random.default_rng(0)
    response, true, inside = rng.random((SIDE, SIDE)), rng.random((SIDE, SIDE)) < 0.2, rng.random((SIDE, SIDE)) < 0.7
    positive, negative = response[inside & true], response[inside & ~true]
    expected = (positive[:, None] > negative[None]).mean()
    assert vessel_scores(response, 0.5, true, inside)["auc"] == pytest.approx(expected, abs=1e-12)
    assert auc(response[inside], true[inside]) == pytest.approx(expected, abs=1e-12)


def test_centre_line_dice_of_a_broken_tube_by_hand():
    line, broken = np.zeros((9, 40), bool), np.zeros((9, 40), bool)
    line[4, 5:35] = True  # a line is its own skeleton: 30 pixels
    broken[4, 5:15] = broken[4, 25:35] = True  # 20 of them
    broken[1, 5:10] = True  # 5 pixels of nothing
    precision, sensitivity = 20 / 25, 20 / 30
    assert cl_dice(broken, line) == pytest.approx(2 * precision * sensitivity / (precision + sensitivity))
    wide = np.zeros((9, 40), bool)
    wide[2:7, 5:35] = True
    assert cl_dice(line, wide) > 0.95  # a centre line follows its tube whatever the width; Dice would be 1/3
    assert overlap_scores(line, wide)["dice"] == pytest.approx(1 / 3)
    assert cl_dice(np.zeros_like(line), line) == 0.0 and math.isnan(cl_dice(np.zeros_like(line), np.zeros_like(line)))


def test_the_best_threshold_is_that_of_a_search():
    rng = np.random.default_rng(1)
    truths = [rng.random(500) < 0.3 for _ in range(3)]
    responses = [rng.random(500) + 0.5 * truth for truth in truths]
    levels = np.linspace(0.1, 1.4, 40)
    dice = [
        np.mean([overlap_scores(r >= t, truth)["dice"] for r, truth in zip(responses, truths, strict=True)])
        for t in levels
    ]
    assert best_threshold(responses, truths, levels) == levels[int(np.argmax(dice))]


# -- filters ----------------------------------------------------------------------------------------------------------


def test_the_matched_filter_against_a_direct_correlation():
    rng = np.random.default_rng(0)
    inverse = rng.random((24, 20)).astype(np.float32)
    best = np.full(inverse.shape, -np.inf)
    padded = np.pad(inverse.astype(np.float64), 8, mode="edge")
    for angle in np.arange(12) * np.pi / 12:
        kernel = np.zeros((17, 17))
        support = []
        for row in range(-8, 9):
            for column in range(-8, 9):
                across = row * np.cos(angle) - column * np.sin(angle)
                along = row * np.sin(angle) + column * np.cos(angle)
                if abs(across) <= 6 + 1e-9 and abs(along) <= 4.5 + 1e-9:
                    support.append((row + 8, column + 8))
                    kernel[row + 8, column + 8] = np.exp(-(across**2) / 8)
        mean = kernel.sum() / len(support)
        for place in support:
            kernel[place] -= mean
        assert abs(kernel.sum()) < 1e-12
        kernel /= kernel[kernel > 0].sum()
        for row in range(24):
            for column in range(20):
                value = (padded[row : row + 17, column : column + 17] * kernel).sum()
                best[row, column] = max(best[row, column], value)
    np.testing.assert_allclose(matched_response(inverse), best, atol=1e-5)


def picture(vessels: np.ndarray, contrast: float = 0.2) -> torch.Tensor:
    """A photograph: dark vessels on brighter ground, blurred as an eye does."""
    soft = torch.from_numpy(vessels.astype(np.float32))[None, None]
    soft = torch.nn.functional.avg_pool2d(soft, 3, 1, 1)[0, 0]
    return torch.stack([torch.full_like(soft, 0.7), 0.5 - contrast * soft, torch.full_like(soft, 0.2)])


def test_frangi_with_a_fixed_gamma_sees_that_contrast_is_lost():
    inverse = inverted_green(at_working_size(picture(tube()), None, None))
    faint = inverted_green(at_working_size(picture(tube(), 0.02), None, None))
    gamma = own_gamma(inverse)
    np.testing.assert_allclose(
        frangi_response(inverse, gamma), frangi(inverse, sigmas=range(2, 5), black_ridges=False), rtol=1e-5
    )
    assert frangi_response(faint, gamma).max() < 0.1 * frangi_response(inverse, gamma).max()
    assert frangi_response(faint, own_gamma(faint)).max() > 0.9 * frangi_response(inverse, gamma).max()


def test_what_the_filters_need_is_fixed_on_sharp_photographs():
    vessels = tube() | tube().T
    found = fit_filters([at_working_size(picture(vessels), None, torch.from_numpy(vessels)[None])])
    assert found is not None
    seen = inverted_green(at_working_size(picture(vessels), None, None))
    for response, threshold in (
        (frangi_response(seen, found.gamma), found.frangi),
        (matched_response(seen), found.matched),
    ):
        assert overlap_scores(response >= threshold, vessels)["dice"] > 0.75
    assert fit_filters([at_working_size(picture(vessels), None, None)]) is None


def test_a_large_photograph_is_made_smaller_with_its_vessels():
    vessels = torch.zeros(1, 4, 2 * LONGEST, dtype=torch.bool)
    vessels[:, :, 10:20] = True
    mask = torch.ones_like(vessels)
    mask[:, :, -7:] = False
    fundus = at_working_size(vessels.float().expand(3, -1, -1), mask, vessels)
    assert isinstance(fundus, Fundus) and fundus.image.shape == (3, 2, LONGEST) and fundus.vessels is not None
    assert fundus.vessels[0].nonzero().flatten().tolist() == list(range(5, 10))
    assert fundus.inside[0].nonzero().flatten().max() == LONGEST - 5  # a pixel half outside is outside


# -- tracking ---------------------------------------------------------------------------------------------------------


def test_a_tube_with_a_gap_is_broken():
    course = course_of(tube())
    assert len(course.segments) == 1
    assert track(tube().astype(float), 0.5, course, EVERYWHERE) == (1.0, 1, 0, 0)
    for gap, broken in ((3, 0), (4, 1)):
        found = tube() & ~tube(columns=slice(20, 20 + gap))
        assert track(found.astype(float), 0.5, course, EVERYWHERE)[:3] == (1.0, 1, broken)  # the path goes straight on
    assert track(np.zeros((SIDE, SIDE)), 0.5, course, EVERYWHERE)[1:] == (1, 1, 0)


def test_a_path_that_goes_astray_is_not_followed():
    course = course_of(tube())
    detour = tube(columns=slice(4, 12)) | tube(columns=slice(36, 44)) | tube(slice(14, 24), slice(9, 12))
    detour |= tube(slice(14, 24), slice(36, 39)) | tube(slice(14, 17), slice(9, 39))
    found = track(detour.astype(float), 0.5, course, EVERYWHERE)
    assert found.broken == 1 and 0.1 < found.followed < 0.6


def test_an_invented_branch_is_counted():
    branch = tube() | tube(slice(4, 24), slice(22, 25))
    found = track(branch.astype(float), 0.5, course_of(tube()), EVERYWHERE)
    assert (found.broken, found.invented) == (0, 1)
    found = track(tube().astype(float), 0.5, course_of(branch), EVERYWHERE)
    assert (found.segments, found.broken, found.invented) == (3, 1, 0)


# -- the assessment ---------------------------------------------------------------------------------------------------


class Dark:
    """A judge that calls dark green vessel."""

    description = "threshold of green"
    floor = 0.7
    threshold = 0.6
    filters = FilterSettings(gamma=0.01, frangi=0.1, matched=0.02)

    def __init__(self, own_score: float = 0.9) -> None:
        self.own_score = own_score
        self.usable = own_score >= self.floor

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        return 1 - image[1]


def painted(vessels: np.ndarray) -> torch.Tensor:
    green = torch.where(torch.from_numpy(vessels), 0.1, 0.8)
    return torch.stack([torch.full_like(green, 0.7), green, torch.full_like(green, 0.2)])


def case(key: str, group: str, target: torch.Tensor | None, mask: torch.Tensor | None = None, **known: Any) -> Case:
    return Case(key, group, None, torch.zeros(3, 2, 2), target, mask, None, known, {})  # type: ignore[arg-type]


def begun(judge: Dark | None) -> VesselAgreement:
    kinds = {"identity": "reference", "restored": "learned"}
    find = None if judge is None else lambda name: judge
    assessment = VesselAgreement()
    assessment.begin(Context(kinds, "identity", "restored", "none", find, Path()))  # type: ignore[arg-type]
    return assessment


TRUTH = torch.from_numpy(tube())[None]
GAP = tube() & ~tube(columns=slice(20, 28))
MORE = tube() | tube(slice(4, 24), slice(22, 25))


def test_every_row_and_the_sharp_image_are_held_against_the_reference():
    rows = {"identity": painted(GAP), "restored": painted(MORE)}
    scores = begun(Dark()).observe(case("k", "g", painted(tube()), vessels=TRUTH), rows)
    found = {(score.method, score.metric): score.value for score in scores}
    assert {score.method for score in scores} == {SHARP, "identity", "restored"}
    assert all(found[SHARP, f"vessels/{name}"] == 1 for name in ("dice", "precision", "auc", "cldice", "followed"))
    assert found["identity", "vessels/sensitivity"] == 96 / 120 and found["identity", "vessels/precision"] == 1
    assert (found["identity", "vessels/broken"], found["identity", "vessels/invented"]) == (1, 0)
    assert found["restored", "vessels/precision"] == 120 / 177 and found["restored", "vessels/sensitivity"] == 1
    assert (found["restored", "vessels/broken"], found["restored", "vessels/invented"]) == (0, 1)
    assert {(SHARP, f"vessels/{name}_dice") for name in ("frangi", "matched")} <= set(found)


def test_what_lies_outside_the_mask_changes_nothing():
    mask = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    mask[:, 6:42, 6:42] = True
    noise = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    lists = []
    for rest in (torch.zeros(3, SIDE, SIDE), noise):
        target, row = (torch.where(mask, painted(vessels), rest) for vessels in (tube(), GAP))
        known = TRUTH | (~mask & (rest[:1] > 0.5))
        lists.append(
            begun(Dark()).observe(case("k", "g", target, mask, vessels=known), {"identity": row, "restored": row})
        )
    assert lists[0] == lists[1] and len(lists[0]) == 3 * (9 + 9 + 6)
    assert eroded(mask[0].numpy()).sum() == 30**2


def test_the_report_puts_precision_beside_dice_and_says_what_colours_mean():
    assessment = begun(Dark())
    scores = []
    for number in range(6):
        rows = {"identity": painted(GAP), "restored": painted(MORE if number else tube())}
        scores += assessment.observe(case(str(number), f"g{number}", painted(tube()), vessels=TRUTH), rows)
    assert assessment.observe(case("u", "u", painted(tube())), {"identity": painted(tube())}) == []
    assert assessment.observe(case("v", "v", None), {"identity": painted(tube())}) == []
    found = assessment.finish(scores)
    assert found is not None and found.section.spoken == 2
    assert "own Dice on sharp images is 0.900, the floor 0.7" in found.section.lines[0]
    restored = (1 + 5 * 2 * 120 / 297) / 6
    assert f"'restored' {restored:.3f} [" in found.section.lines[1]
    assert f"at precision {(1 + 5 * 120 / 177) / 6:.3f}" in found.section.lines[1]
    assert "6 sharp images with a reference; 1 more have no reference map" in found.section.lines[1]
    assert "each of at least 10 pixels" in found.section.lines[-1] and "has 6 segments" in found.section.lines[-1]
    assert [table.caption.split(":")[0] for table in found.section.tables] == [
        "Vessels by the judge",
        "Following vessels in the map of the judge",
        "Vessels by Frangi's filter",
        "Following vessels in the map of Frangi's filter",
        "Vessels by the matched filter",
    ]
    first = found.section.tables[0].rows
    assert [row[0] for row in first] == [SHARP, "identity", "restored"] and first[0][-1] == "6"
    assert found.section.tables[1].rows[1][3] == "1.0 [1.0, 1.0]"  # broken
    (one,) = found.section.pictures
    assert "INVENTED" in one[2] and "lowest Dice" in one[2] and "most invented vessel" in one[2]


@pytest.mark.parametrize("judge", [Dark(own_score=0.41), None])
def test_without_a_usable_judge_the_filters_are_still_printed(judge: Dark | None):
    assessment = begun(judge)
    rows = {"identity": painted(GAP), "restored": painted(tube())}
    scores = assessment.observe(case("k", "g", painted(tube()), vessels=TRUTH), rows)
    assert scores and all(score.metric.startswith(("vessels/frangi_", "vessels/matched_")) for score in scores)
    found = assessment.finish(scores)
    assert found is not None and len(found.section.tables) == 3
    line = found.section.lines[0]
    words = ("no judge was asked",) if judge is None else ("unusable", "0.410", "0.7")
    assert all(word in line for word in words)
    assert "by Frangi's filter" in found.section.lines[1]


def test_nothing_to_compare_with():
    assessment = begun(Dark())
    assert assessment.finish([]) is None
    assert assessment.observe(case("k", "g", painted(tube())), {"identity": painted(tube())}) == []
    found = assessment.finish([])
    assert found is not None and "none of the 1 sharp images has a reference map" in found.section.lines[0]
    with pytest.raises(MedrestoreError, match=r"image k: its map of vessels measures \(40, 48\), the image \(48, 48\)"):
        assessment.observe(case("k", "g", painted(tube()), vessels=TRUTH[:, :40]), {"identity": painted(tube())})


def test_pictures_keep_the_worst_and_the_most_inventive():
    kept = VesselPictures()
    image, vessels = torch.zeros(3, 4, 6), torch.zeros(4, 6, dtype=torch.bool)
    for key, dice, invented in (("a", 0.8, 0.1), ("b", 0.5, 0.2), ("c", 0.6, 0.7), ("d", math.nan, math.nan)):
        kept.add(key, dice, invented, [image], [vessels], vessels)
    assert [(one.key, one.value) for one in kept.chosen()] == [("b", 0.5), ("c", 0.7)]


def test_invented_vessels_have_a_colour_of_their_own():
    found, true = torch.zeros(16, 24, dtype=torch.bool), torch.zeros(16, 24, dtype=torch.bool)
    found[:, :16], true[:, 8:] = True, True  # invented, found, missed
    pixels = np.asarray(Image.open(io.BytesIO(overlay([torch.ones(3, 16, 24)], [found], true)))).astype(int)
    assert pixels.shape == (32, 24, 3) and (pixels[4, 12] > 250).all()
    for column, colour in ((3, (214, 94, 0)), (12, (0, 158, 115)), (20, (87, 181, 232))):
        assert np.abs(pixels[24, column] - colour).max() < 8
