from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from medrestore.errors import MedrestoreError
from medrestore.imaging import Window, frames, read

RESCALE = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def _grey(values: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def test_bundled_ct_is_in_hu(bundled):
    path = bundled("CT_small.dcm")
    image = read(path)
    with path.open("rb") as file:
        dataset = pydicom.dcmread(file)
    assert torch.equal(image.pixels[0], _grey(dataset.pixel_array.astype(np.float64) - 1024))
    assert (image.unit, image.mask, image.window) == ("HU", None, None)
    assert image.spacing == (0.661468, 0.661468)
    assert image.group == str(dataset.PatientID)
    assert image.metadata == {
        "format": "dicom",
        "bits": 16,
        "modality": "CT",
        "body_part": "",
        "frame": 0,
        "frames": 1,
    }
    assert str(dataset.PatientID) not in repr(image)


@pytest.mark.parametrize(
    "variant", ["RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded"]
)
def test_every_encoding_of_one_image_gives_the_same(bundled, variant: str):
    plain, other = read(bundled("MR_small.dcm")), read(bundled(f"MR_small_{variant}.dcm"))
    assert plain.unit == other.unit == "signal" and plain.pixels.max() == 2145
    assert torch.equal(plain.pixels, other.pixels)
    assert plain.window == other.window == Window(-200.0, 1399.0, "file")  # 600 / 1600 by PS3.3 C.11.2.1.2


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("rescale", [(1, 0), (2.5, -100), (-0.5, 3)])
def test_every_photometric_sign_and_rescale(
    make_dicom, rng, dtype: Any, photometric: str, rescale: tuple[float, float]
):
    limits = np.iinfo(dtype)
    stored = rng.integers(limits.min, limits.max, (13, 18), dtype=dtype, endpoint=True)
    slope, intercept = rescale
    path = make_dicom(
        stored,
        {
            "Modality": "MR",
            "PhotometricInterpretation": photometric,
            "RescaleSlope": slope,
            "RescaleIntercept": intercept,
        },
    )
    seen = stored.astype(np.float64)
    if photometric == "MONOCHROME1":
        seen = float(limits.min) + float(limits.max) - seen
    image = read(path)
    torch.testing.assert_close(image.pixels[0], _grey(seen * slope + intercept), atol=0, rtol=1e-6)
    assert image.unit == "signal" and image.mask is None


def test_monochrome1_turns_the_window_with_the_values(make_dicom):
    stored = np.array([[0, 100, 4095]], dtype=np.uint16)
    elements = {
        "Modality": "DX",
        "BitsStored": 12,
        "HighBit": 11,
        "PhotometricInterpretation": "MONOCHROME1",
        "WindowCenter": 101,
        "WindowWidth": 3,
    }
    image = read(make_dicom(stored, elements))
    assert image.pixels[0].tolist() == [[4095.0, 3995.0, 0.0]]
    # LINEAR 101 / 3 is 99.5 to 101.5; inverted 4095 - 101.5 to 4095 - 99.5.
    assert image.window == Window(3993.5, 3995.5, "file")


def test_hu_stay_hu_however_displayed(make_dicom):
    stored = np.array([[24, 1024, 2024]], dtype=np.uint16)
    image = read(make_dicom(stored, {**RESCALE, "PhotometricInterpretation": "MONOCHROME1"}))
    assert image.unit == "HU" and image.pixels[0].tolist() == [[-1000.0, 0.0, 1000.0]]


@pytest.mark.parametrize(
    ("elements", "unit"),
    [
        (RESCALE, "HU"),
        ({**RESCALE, "RescaleType": "Houndsfield Unit"}, "HU"),
        ({**RESCALE, "RescaleType": "MGML"}, "signal"),
        ({**RESCALE, "Modality": "PT"}, "signal"),
        ({"Modality": "CR"}, "signal"),
        ({"Modality": "CT", "RescaleType": "ED"}, "signal"),
    ],
)
def test_units_of_sixteen_bit_grey(make_dicom, elements: dict, unit: str):
    assert read(make_dicom(np.full((3, 4), 1000, dtype=np.int16), elements)).unit == unit


@pytest.mark.parametrize(
    ("modality", "unit", "white"), [("US", "intensity", 1.0), ("OT", "intensity", 1.0), ("NM", "signal", 255.0)]
)
def test_units_of_eight_bit_grey(make_dicom, modality: str, unit: str, white: float):
    image = read(
        make_dicom(np.array([[0, 255]], dtype=np.uint8), {"Modality": modality, "WindowCenter": 9, "WindowWidth": 9})
    )
    assert image.unit == unit and image.pixels.max() == white and image.metadata["bits"] == 8
    assert (image.window is None) == (unit == "intensity")


@pytest.mark.parametrize("value", [-2000, 63536])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_padding_value_in_either_sign(make_dicom, value: int, dtype: Any):
    stored = np.array([[-2000, 24, 1024], [2024, -2000, 25]], dtype=np.int16).view(dtype)

    def pad(dataset: FileDataset) -> None:
        dataset.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)

    image = read(make_dicom(stored, {**RESCALE, "Modality": "PT"}, extra=pad))
    assert image.pixels[0].tolist() == [[-1000.0, -1000.0, 0.0], [1000.0, -1000.0, -999.0]]
    assert image.mask is not None
    assert image.mask[0].tolist() == [[False, True, True], [True, False, True]]


@pytest.mark.parametrize("ends", [(0, 10), (10, 0)])
def test_padding_range(make_dicom, ends: tuple[int, int]):
    stored = np.array([[0, 5, 10, 11, 700]], dtype=np.uint16)

    def pad(dataset: FileDataset) -> None:
        dataset.add_new("PixelPaddingValue", "US", ends[0])
        dataset.add_new("PixelPaddingRangeLimit", "US", ends[1])

    image = read(make_dicom(stored, {"Modality": "MR"}, extra=pad))
    assert image.pixels[0].tolist() == [[11.0, 11.0, 11.0, 11.0, 700.0]]
    assert image.mask is not None and image.mask[0].tolist() == [[False, False, False, True, True]]


def test_padding_of_monochrome1_is_the_smallest_valid_value_after_inversion(make_dicom):
    stored = np.array([[0, 50, 200]], dtype=np.uint8)
    elements = {"Modality": "MG", "PhotometricInterpretation": "MONOCHROME1"}

    def pad(dataset: FileDataset) -> None:
        dataset.add_new("PixelPaddingValue", "US", 0)

    image = read(make_dicom(stored, elements, extra=pad))
    assert image.pixels[0].tolist() == [[55.0, 205.0, 55.0]]


@pytest.mark.parametrize("fill", [-2000, -2048, -1025])
def test_ct_fill_below_air_is_padding_without_a_tag(make_dicom, fill: int):
    stored = np.array([[fill, -1024, -1000, 3071]], dtype=np.int16)
    image = read(make_dicom(stored, {"RescaleSlope": 1, "RescaleIntercept": 0}))
    assert image.pixels[0].tolist() == [[-1024.0, -1024.0, -1000.0, 3071.0]]
    assert image.mask is not None and image.mask[0].tolist() == [[False, True, True, True]]
    other = read(make_dicom(stored, {"Modality": "MR"}))
    assert other.mask is None and other.pixels.min() == fill


def test_lossy_ct_with_a_ring_of_fill(bundled):
    # The padding tag says -2000, but after lossy compression no pixel has exactly that value.
    image = read(bundled("693_J2KI.dcm"))
    assert image.pixels.min() == -1024 and image.mask is not None
    assert not image.mask[0, :5, :5].any() and image.mask[0, 200:300, 200:300].all()


def test_nothing_but_padding_is_refused(make_dicom):
    path = make_dicom(np.full((3, 4), -3000, dtype=np.int16), {"RescaleSlope": 1, "RescaleIntercept": 0})
    with pytest.raises(MedrestoreError, match="holds padding only"):
        read(path)


@pytest.mark.parametrize(
    ("elements", "window"),
    [
        ({"WindowCenter": 40, "WindowWidth": 400}, Window(-160.0, 239.0, "file")),
        ({"WindowCenter": [40, -600], "WindowWidth": [400, 1500]}, Window(-160.0, 239.0, "file")),
        ({"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"}, Window(-160.0, 240.0, "file")),
        ({"WindowCenter": 40, "WindowWidth": 0}, None),
        ({"WindowCenter": 40, "WindowWidth": 1}, None),
        ({"WindowCenter": 40}, None),
        ({"WindowCenter": "", "WindowWidth": ""}, None),
        ({}, None),
    ],
)
def test_windows(make_dicom, elements: dict, window: Window | None):
    assert read(make_dicom(np.zeros((2, 3), dtype=np.int16), {**RESCALE, **elements})).window == window


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({"PixelSpacing": [0.5, 0.25]}, (0.5, 0.25)),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, (0.1, 0.2)),
        ({"PixelSpacing": [0.5, 0.25], "ImagerPixelSpacing": [0.1, 0.2]}, (0.5, 0.25)),
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": ""}, None),
        ({}, None),
    ],
)
def test_spacing(make_dicom, elements: dict, spacing: tuple[float, float] | None):
    assert read(make_dicom(np.zeros((2, 3), dtype=np.int16), {**RESCALE, **elements})).spacing == spacing


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for key, value in elements.items():
        setattr(item, key, value)
    return item


def test_frames_with_their_own_rescale_window_and_spacing(make_dicom, rng):
    stored = rng.integers(0, 1000, (3, 4, 5), dtype=np.uint16)

    def groups(dataset: FileDataset) -> None:
        dataset.SharedFunctionalGroupsSequence = Sequence(
            [_item(PixelMeasuresSequence=Sequence([_item(PixelSpacing=[0.7, 0.8])]))]
        )
        dataset.PerFrameFunctionalGroupsSequence = Sequence(
            [
                _item(
                    PixelValueTransformationSequence=Sequence([_item(RescaleSlope=index + 1, RescaleIntercept=-index)]),
                    FrameVOILUTSequence=Sequence([_item(WindowCenter=100 * index, WindowWidth=10)]),
                )
                for index in range(3)
            ]
        )

    path = make_dicom(stored, extra=groups)
    assert frames(path) == 3
    for index in range(3):
        image = read(path, index)
        assert torch.equal(image.pixels[0], _grey(stored[index].astype(np.float64) * (index + 1) - index))
        assert image.unit == "HU" and image.spacing == (0.7, 0.8) and image.metadata["frame"] == index
        assert image.window == Window(100.0 * index - 5, 100.0 * index + 4, "file")
    assert torch.equal(read(path).pixels, read(path, 0).pixels)
    with pytest.raises(MedrestoreError, match="frame 3 was asked for, but it has 3"):
        read(path, 3)


def test_modality_lookup_table(make_dicom):
    table = _item(ModalityLUTType="US")
    table.add_new("LUTDescriptor", "US", [4, 0, 16])
    table.add_new("LUTData", "US", [10, 20, 40, 80])
    stored = np.array([[0, 1, 2, 3]], dtype=np.uint16)
    elements = {"Modality": "CR", "ModalityLUTSequence": Sequence([table])}
    assert read(make_dicom(stored, elements)).pixels[0].tolist() == [[10.0, 20.0, 40.0, 80.0]]


def test_unused_high_bits_are_ignored(make_dicom):
    stored = np.array([[0x0FFF, 0xF001, 0x8800]], dtype=np.uint16)  # an old overlay in the upper four bits
    image = read(make_dicom(stored, {"Modality": "MR", "BitsStored": 12, "HighBit": 11}))
    assert image.pixels[0].tolist() == [[4095.0, 1.0, 2048.0]]


def test_photographs(bundled):
    for name in ("examples_rgb_color.dcm", "ExplVR_BigEnd.dcm", "SC_rgb_rle.dcm"):
        image = read(bundled(name))
        expected = pydicom.dcmread(str(bundled(name))).pixel_array.transpose(2, 0, 1)
        torch.testing.assert_close(image.pixels, _grey(expected / 255.0), atol=1e-7, rtol=0)
        assert image.unit == "intensity" and image.window is None and image.metadata["bits"] == 8
    deep = read(bundled("SC_rgb_rle_16bit_2frame.dcm"), 1)
    assert deep.metadata["bits"] == 16 and deep.pixels.max() == 1.0 and deep.metadata["frames"] == 2


def test_ybr_becomes_rgb(bundled):
    # The same picture stored as RGB and as YBR_FULL_422.
    rgb, ybr = read(bundled("SC_rgb_rle.dcm")), read(bundled("SC_ybr_full_422_uncompressed.dcm"))
    assert ybr.unit == "intensity" and ybr.pixels.shape == rgb.pixels.shape
    assert (ybr.pixels - rgb.pixels).abs().mean() < 0.01


def test_palette_colour(bundled):
    path = bundled("examples_palette.dcm")
    dataset = pydicom.dcmread(str(path))
    expected = apply_color_lut(dataset.pixel_array, dataset).transpose(2, 0, 1) / 65535.0
    image = read(path)
    torch.testing.assert_close(image.pixels, _grey(expected), atol=1e-7, rtol=0)
    assert image.unit == "intensity" and image.metadata["bits"] == 16


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_syntaxes_of_our_own_files(make_dicom, rng, syntax: Any):
    stored = rng.integers(0, 4096, (33, 47), dtype=np.int16)
    path = make_dicom(stored, RESCALE, syntax=syntax)
    assert frames(path) == 1
    assert torch.equal(read(path).pixels[0], _grey(stored.astype(np.float64) - 1024))
    assert read(path).group == "CANARY-7"


def test_rle_of_our_own_file(make_dicom, rng):
    stored = rng.integers(100, 500, (12, 14), dtype=np.int16)
    path = make_dicom(stored, RESCALE)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)
    assert torch.equal(read(path).pixels[0], _grey(stored.astype(np.float64) - 1024))


def test_a_data_set_without_preamble_is_read(make_dicom, rng):
    stored = rng.integers(0, 4096, (6, 7), dtype=np.int16)
    path = make_dicom(stored, RESCALE)
    dataset = pydicom.dcmread(path)
    bare = path.with_name("bare.dcm")
    pydicom.dcmwrite(bare, Dataset(dataset), implicit_vr=False, little_endian=True)
    assert bare.read_bytes()[:2] == b"\x08\x00"
    assert torch.equal(read(bare).pixels[0], _grey(stored.astype(np.float64) - 1024))
