"""The field of view of drawn photographs, whose disc is known to the pixel."""

from pathlib import Path

import pytest
import torch

from medrestore.errors import MedrestoreError
from medrestore.imaging import field_of_view, inscribed_box, read

PACK = Path(__file__).parents[3] / "shared/data/fundus"


def disc(height: int, width: int, radius: float, centre: tuple[float, float] | None = None) -> torch.Tensor:
    """Bool (1, H, W)."""
    y, x = centre if centre is not None else ((height - 1) / 2, (width - 1) / 2)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)[None]


def photograph(field: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """An orange retina with texture on a dark, noisy ground, (3, H, W)."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.rand(3, *field.shape[1:], generator=random)
    retina = torch.tensor([0.7, 0.4, 0.15])[:, None, None] * (0.8 + 0.4 * noise)
    return torch.where(field, retina, 0.01 * noise)


def overlap(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("radius", [40, 52, 70])
def test_whole_and_cut_discs_are_found(radius: int) -> None:
    """With radius 52 the disc is cut at top and bottom, with 70 at all sides but the corners."""
    truth = disc(96, 128, radius)
    found = field_of_view(photograph(truth))
    assert found.dtype == torch.bool and found.shape == (1, 96, 128)
    assert overlap(found, truth) > 0.995


def test_large_photographs_are_cut_out_to_the_pixel() -> None:
    truth = disc(700, 1001, 340.3, (341.0, 520.0))
    found = field_of_view(photograph(truth))
    assert int((found ^ truth).sum()) < 0.1 * 2 * 3.14159 * 340  # fewer than every tenth pixel of the rim


def test_text_and_a_white_box_in_the_corners_do_not_belong_to_it() -> None:
    truth = disc(120, 140, 52)
    picture = photograph(truth)
    picture[:, 3:9, 3:30:2] = 0.9
    picture[:, 100:118, 118:138] = 1.0
    assert overlap(field_of_view(picture), truth) > 0.99


def test_a_tab_at_the_rim_is_left_out() -> None:
    truth = disc(200, 200, 80)
    tab = disc(200, 200, 8, (100.0, 180.0))
    found = field_of_view(photograph(truth | tab))
    assert int((found & tab & ~truth).sum()) < 0.4 * int((tab & ~truth).sum())  # its root, two pixels, stays


def test_dark_lesions_and_a_dim_sector_beside_a_glare_belong_to_it() -> None:
    """EyeQ's threshold alone would cut the sector off."""
    truth = disc(200, 200, 90)
    picture = 0.13 * photograph(truth)
    picture[:, :, :80] *= 10
    picture[:, 90:110, 60:80] = 0.0
    assert overlap(field_of_view(picture.clamp(0, 1)), truth) > 0.99


def test_grey_photographs_are_taken_too() -> None:
    truth = disc(96, 96, 40)
    assert overlap(field_of_view(photograph(truth).mean(0, keepdim=True)), truth) > 0.99


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (torch.zeros(3, 96, 96), "the image is black"),
        (torch.full((3, 96, 96), 0.03), "the image is black"),
        (torch.full((3, 96, 96), 0.5), "0 of the 4 corners"),
        (photograph(torch.ones(1, 96, 120, dtype=torch.bool)), "0 of the 4 corners"),
        (photograph(disc(200, 200, 25)), "largest bright part covers 5%"),
        (photograph((torch.arange(96) > 76).expand(1, 96, 96)), "has sides of"),
    ],
)
def test_what_shows_no_field_is_refused_in_one_line(picture: torch.Tensor, words: str) -> None:
    with pytest.raises(MedrestoreError, match=words) as error:
        field_of_view(picture)
    assert "\n" not in str(error.value)


def brute_force(inside: torch.Tensor) -> int:
    """The area of the largest box of sides up to 1 : 2, by trying all."""
    height, width = inside.shape
    areas = [
        (bottom - top) * (right - left)
        for top in range(height)
        for bottom in range(top + 1, height + 1)
        for left in range(width)
        for right in range(left + 1, width + 1)
        if max(bottom - top, right - left) <= 2 * min(bottom - top, right - left)
        and bool(inside[top:bottom, left:right].all())
    ]
    return max(areas)


@pytest.mark.parametrize("seed", range(4))
def test_the_box_is_the_largest_of_its_kind(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    mask = (torch.rand(1, 9, 12, generator=random) > 0.12) | disc(9, 12, 3)
    top, left, height, width = inscribed_box(mask)
    assert mask[0, top : top + height, left : left + width].all()
    assert height * width == brute_force(mask[0])


def test_the_box_of_a_large_disc_is_nearly_the_inscribed_square() -> None:
    mask = disc(1200, 1600, 580)
    top, left, height, width = inscribed_box(mask)
    assert mask[0, top : top + height, left : left + width].all()
    assert height * width > 0.985 * 2 * 580**2


def test_no_box_in_an_empty_mask() -> None:
    with pytest.raises(MedrestoreError, match="marks no pixel"):
        inscribed_box(torch.zeros(1, 8, 8, dtype=torch.bool))


@pytest.mark.skipif(not PACK.is_dir(), reason="the pack of real photographs is not here")
@pytest.mark.parametrize(
    "file", ["csdi_cataract/images/csdi_p15_2.jpg", "hrf/images/01_h.jpg", "chase_db1/images/Image_01L.jpg"]
)
def test_real_photographs(file: str) -> None:
    """Bright pixels outside and dark ones inside are few, in glare and dim sectors too."""
    pixels = read(PACK / file).pixels
    found = field_of_view(pixels)[0]
    grey = pixels.mean(0)
    assert (grey[~found] > 25 / 255).float().mean() < 0.01
    assert (grey[found] < 8 / 255).float().mean() < 0.01
