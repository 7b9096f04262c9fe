import dataclasses
from pathlib import Path

import pytest
import torch

from medrestore.errors import MedrestoreError
from medrestore.imaging import WINDOWS, Image, Window, from_unit, to_unit


def test_window_to_unit_by_hand():
    window = Window(-100.0, 300.0)
    values = torch.tensor([-500.0, -100.0, 0.0, 100.0, 300.0, 301.0])
    assert to_unit(values, window).tolist() == [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]
    assert from_unit(torch.tensor([0.0, 0.25, 1.0]), window).tolist() == [-100.0, 0.0, 300.0]


def test_no_window_clamps_photographs():
    values = torch.tensor([-0.1, 0.0, 0.3, 1.0, 1.2])
    torch.testing.assert_close(to_unit(values, None), torch.tensor([0.0, 0.0, 0.3, 1.0, 1.0]), atol=0, rtol=0)
    torch.testing.assert_close(from_unit(values, None), values, atol=0, rtol=0)


@pytest.mark.parametrize("name", sorted(WINDOWS))
def test_way_in_and_back_restores_every_hu(name: str):
    window = WINDOWS[name]
    hu = torch.arange(int(window.low), int(window.high) + 1, dtype=torch.float32)
    unit = to_unit(hu, window)
    assert unit.min() == 0.0 and unit.max() == 1.0
    assert torch.equal(from_unit(unit, window).round(), hu)
    torch.testing.assert_close(from_unit(unit, window), hu, atol=5e-4, rtol=0)
    assert torch.equal(from_unit(unit, window, original=hu), hu)


def test_outside_the_window_the_original_is_kept():
    window = WINDOWS["brain"]
    original = torch.tensor([-1000.0, 0.0, 20.5, 80.0, 2000.0])
    restored = torch.tensor([0.7, 0.5, 0.5, 0.25, 0.1])
    assert from_unit(restored, window, original).tolist() == [-1000.0, 40.0, 40.0, 20.0, 2000.0]
    with pytest.raises(ValueError, match="shape"):
        from_unit(restored, window, original[:3])


def test_presets_are_the_published_widths_and_levels():
    ends = {name: (window.low, window.high) for name, window in WINDOWS.items()}
    assert ends == {
        "brain": (0.0, 80.0),
        "lung": (-1350.0, 150.0),
        "soft_tissue": (-125.0, 225.0),
        "bone": (-500.0, 1500.0),
        "wide": (-1024.0, 3071.0),
    }
    assert all(window.name == name for name, window in WINDOWS.items())


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_empty_or_inverted_windows_are_refused(ends: tuple[float, float]):
    with pytest.raises(MedrestoreError, match="low < high") as error:
        Window(*ends)
    assert "\n" not in str(error.value)


def test_from_centre_refuses_a_width_of_zero():
    with pytest.raises(MedrestoreError):
        Window.from_centre(40, 0)


def _image(pixels: torch.Tensor, mask: torch.Tensor | None = None) -> Image:
    return Image(pixels, None, "intensity", None, Path("a.png"), "CANARY-7", mask, {"format": "png", "bits": 8})


def test_record_keeps_the_patient_out_of_its_text_and_cannot_be_changed():
    image = _image(torch.zeros(1, 2, 3))
    assert "CANARY-7" not in repr(image)
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.group = "other"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("pixels", [torch.zeros(2, 2), torch.zeros(2, 3, 3), torch.zeros(1, 2, 2, dtype=torch.float64)])
def test_record_refuses_other_shapes_and_types(pixels: torch.Tensor):
    with pytest.raises(ValueError, match="pixels must be"):
        _image(pixels)


def test_record_refuses_a_mask_of_another_size():
    with pytest.raises(ValueError, match="mask must be"):
        _image(torch.zeros(1, 2, 3), torch.ones(1, 3, 2, dtype=torch.bool))
