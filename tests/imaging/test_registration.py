"""Registration of photographs of known motion: textures drawn by formula in both places, without resampling."""

import math

import pytest
import torch

from medrestore.errors import MedrestoreError
from medrestore.imaging.alignment import Alignment
from medrestore.imaging.registration import register

WAVES = 80


def texture(rows: torch.Tensor, columns: torch.Tensor, seed: int, longest: float, blur: float = 0.0) -> torch.Tensor:
    """A sum of plane waves in [0, 1] at the places given; a Gaussian blur only weakens each."""
    random = torch.Generator().manual_seed(seed)
    wavelength = longest * torch.exp(-1.4 * torch.rand(WAVES, generator=random, dtype=torch.float64))
    turn, phase = 2 * math.pi * torch.rand(2, WAVES, generator=random, dtype=torch.float64)
    total = torch.zeros(rows.shape, dtype=torch.float64)
    for number in range(WAVES):
        k = 2 * math.pi / float(wavelength[number])
        along = math.sin(turn[number]) * rows + math.cos(turn[number]) * columns
        total += math.exp(-((k * blur) ** 2) / 2) * torch.cos(k * along + phase[number])
    return (0.5 + 0.1 * total / math.sqrt(WAVES / 2)).clamp(0, 1)


def places(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the pixels, measured from the centre."""
    rows = torch.arange(height, dtype=torch.float64)[:, None] - (height - 1) / 2
    columns = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    return rows.expand(height, width), columns.expand(height, width)


def moved(rows: torch.Tensor, columns: torch.Tensor, truth: Alignment) -> tuple[torch.Tensor, torch.Tensor]:
    """Where places of the first photograph lie in the second: turned counter-clockwise on the screen, then shifted."""
    cos, sin = (
        truth.scale * part for part in (math.cos(math.radians(truth.angle)), math.sin(math.radians(truth.angle)))
    )
    return cos * rows - sin * columns + truth.shift[0], cos * columns + sin * rows + truth.shift[1]


def pair(
    truth: Alignment, shape: tuple[int, int] = (100, 112), other: tuple[int, int] = (100, 112), longest: float = 22.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A dim, veiled, blurred first photograph and a clear second one, (3, H, W), each in its round field."""
    rows, columns = places(*shape)
    blurred = texture(*moved(rows, columns, truth), seed=0, longest=longest, blur=longest / 14)
    veil = 0.25 + 0.2 * columns / columns.max()
    first_mask = (rows.square() + columns.square() <= (0.48 * min(shape)) ** 2)[None]
    first = ((0.5 * blurred + veil) * first_mask).float().expand(3, -1, -1)
    rows, columns = places(*other)
    second_mask = (rows.square() + columns.square() <= (0.48 * min(other)) ** 2)[None]
    second = (texture(rows, columns, seed=0, longest=longest) * second_mask).float().expand(3, -1, -1)
    return first, second, first_mask, second_mask


def known(down: float, right: float, angle: float, scale: float = 1.0) -> Alignment:
    return Alignment((down, right), angle, scale, 0, 0, 0)


@pytest.mark.parametrize(
    "truth",
    [known(0, 0, 0), known(3.4, -2.7, 0), known(-6.2, 9.8, 0), known(2.3, 1.6, 4.5), known(-3.1, 4.2, -7.7, 1.03)],
    ids=lambda truth: f"{truth.shift} {truth.angle} {truth.scale}",
)
def test_known_motion_is_found_under_other_light_and_blur(truth: Alignment) -> None:
    found = register(*pair(truth))
    assert found.shift == pytest.approx(truth.shift, abs=0.3)
    assert found.angle == pytest.approx(truth.angle, abs=0.1)
    assert found.scale == pytest.approx(truth.scale, abs=0.002)
    assert found.correlation > 0.9 and found.correlation >= found.correlation_before
    if truth.shift != (0, 0):
        assert found.correlation_before < 0.5


def test_large_photographs_of_unlike_and_odd_sizes() -> None:
    """They are searched on reduced grids, whose pixels lie elsewhere in each."""
    truth = known(12.3, -20.6, 2.0, 1.01)
    found = register(*pair(truth, (803, 777), (781, 806), longest=90.0))
    assert found.shift == pytest.approx(truth.shift, abs=0.3)
    assert found.angle == pytest.approx(truth.angle, abs=0.1)


def test_the_warped_photograph_is_the_texture_where_both_were_taken() -> None:
    truth = known(2.3, 1.6, 4.5, 1.02)
    _, second, _, mask = pair(truth)
    warped = truth.warp(second, 96, 110)
    covered = truth.warp(mask, 96, 110)
    assert warped.dtype == torch.float32 and warped.shape == (3, 96, 110) and covered.dtype == torch.bool
    rows, columns = moved(*places(96, 110), truth)
    inside = rows.square() + columns.square() <= 45**2  # bicubic weights reach two pixels
    drawn = texture(rows, columns, seed=0, longest=22.0).float()
    assert (warped[1] - drawn)[inside].abs().max() < 0.01
    exact = rows.square() + columns.square() <= 48**2
    assert int((covered[0] ^ exact).sum()) < 0.2 * 2 * math.pi * 48


def test_outside_the_other_photograph_there_is_nothing() -> None:
    warped = known(0, 60, 0).warp(torch.full((1, 20, 100), 0.7), 20, 100)
    assert torch.equal(warped[:, :, 41:], torch.zeros(1, 20, 59))
    assert warped[0, :, :39] == pytest.approx(0.7)


def test_angles_are_counter_clockwise_on_the_screen() -> None:
    """What is right of the centre in the first photograph is above it in the second, turned by 90 degrees."""
    second = torch.zeros(1, 21, 21)
    second[0, 3, 10] = 1
    assert int(known(0, 0, 90).warp(second, 21, 21).flatten().argmax()) == 10 * 21 + 17


def test_other_eyes_are_refused() -> None:
    first, _, first_mask, second_mask = pair(known(0, 0, 0))
    rows, columns = places(100, 112)
    stranger = (texture(rows, columns, seed=5, longest=22.0) * second_mask).float()
    with pytest.raises(MedrestoreError, match=r"cannot be registered.*of the same eye"):
        register(first, stranger, first_mask, second_mask)


def test_photographs_without_detail_are_refused() -> None:
    mask = torch.ones(1, 60, 60, dtype=torch.bool)
    with pytest.raises(MedrestoreError, match="cannot be registered"):
        register(torch.full((3, 60, 60), 0.4), torch.full((3, 60, 60), 0.6), mask, mask)
