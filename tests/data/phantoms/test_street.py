"""The street phantom: a function of its arguments, classes where they belong, letters that can be read."""

import numpy as np
import pytest
import torch

from medrestore.data.phantoms.street import StreetPhantom
from medrestore.data.phantoms.street_canvas import across, along
from medrestore.data.phantoms.street_font import ink, lettering
from medrestore.data.phantoms.street_scene import Camera
from medrestore.data.street_classes import CAR, CLASSES, COLOURS, PERSON, POLE, ROAD, SKY, TRAFFIC_SIGN
from medrestore.degradations import MotionBlur
from medrestore.errors import MedrestoreError
from medrestore.metrics import psnr


def images(**arguments):
    source = StreetPhantom(**{"height": 72, "width": 100, **arguments})
    return source, source.catalogue().items


def classes(source, item):
    found = source.annotations(item)["labels"]
    assert isinstance(found, torch.Tensor)
    return found


def test_an_image_is_a_function_of_seed_scene_number_and_size():
    source, items = images(scenes=2, images_per_scene=2)
    other, same = images(scenes=3, images_per_scene=2)
    assert [item.key for item in items] == [item.key for item in same][:4]
    first, again = source.load(items[3]), other.load(same[3])
    assert torch.equal(first.pixels, again.pixels)
    unloaded, keys = images(scenes=2, images_per_scene=2)
    assert torch.equal(classes(source, items[3]), classes(unloaded, keys[3]))
    for changed in ({"data_seed": 1}, {"height": 73}):
        differing, keys = images(scenes=2, images_per_scene=2, **changed)
        assert keys[3].key != items[3].key
        assert differing.load(keys[3]).pixels[:, :72].ne(first.pixels).float().mean() > 0.5


def test_what_an_image_is():
    source, items = images(scenes=2, images_per_scene=3)
    assert [item.group for item in items] == ["scene0000"] * 3 + ["scene0001"] * 3
    image, labels = source.load(items[0]), classes(source, items[0])
    assert image.pixels.shape == (3, 72, 100) and image.pixels.dtype == torch.float32
    levels = image.pixels * 255
    assert float((levels - levels.round()).abs().max()) < 1e-4 and 0 <= image.pixels.min() <= image.pixels.max() <= 1
    assert labels.shape == (72, 100) and labels.dtype == torch.int64
    assert source.load_mask(items[0]) is None and source.load_degraded(items[0]) is None
    assert len(CLASSES) == len(COLOURS) == 19 and CLASSES[CAR] == "car" and CLASSES[SKY] == "sky"


def test_classes_lie_where_they_belong():
    source, items = images(scenes=6, images_per_scene=1, height=96, width=160)
    pixels = torch.stack([source.load(item).pixels for item in items])
    labels = torch.stack([classes(source, item) for item in items])
    assert set(labels.unique().tolist()) >= {0, 1, 2, 5, 6, 7, 8, 10, 11, 13}
    rows = torch.arange(96).view(1, 96, 1).expand_as(labels)
    assert rows[labels == SKY].max() < 60 and rows[labels == ROAD].min() > 36
    assert (labels[:, 88:] == ROAD).float().mean() > 0.3
    sky, road = (pixels.mean(1)[labels == name].mean() for name in (SKY, ROAD))
    assert sky > road + 0.2
    for name in (CAR, PERSON, POLE, TRAFFIC_SIGN):
        assert (labels == name).any()


def test_views_of_a_street_show_the_same_street():
    """The houses' colours: nearer to another view of the street than to other streets."""
    source, items = images(scenes=8, images_per_scene=2)
    walls = []
    for item in items:
        pixels, labels = source.load(item).pixels, classes(source, item)
        walls.append(torch.cat([pixels[:, labels == name].mean(1) for name in (2, ROAD)]))
    distance = torch.cdist(torch.stack(walls[::2]), torch.stack(walls[1::2]))
    own = distance.diagonal().mean()
    assert own < 0.6 * (distance.sum() - distance.diagonal().sum()) / 56


def test_blur_costs_about_as_much_as_in_photographs():
    source, items = images(scenes=3, images_per_scene=1, height=192, width=320)
    blur = MotionBlur(preset="small")
    values = []
    for number, item in enumerate(items):
        sharp = source.load(item).pixels
        parameters = blur.sample(torch.Generator().manual_seed(number))
        values.append(float(psnr(blur.apply(sharp, parameters).clamp(0, 1)[None], sharp[None])))
    assert 22 < np.mean(values) < 28


def test_planes_are_projected_by_hand():
    """Camera 1.5 m high at the origin, looking ahead, focal length 100 px, horizon between rows 49 and 50."""
    at = (np.arange(100, dtype=np.float32) + 0.5 - 50) / 100
    camera = Camera(0.0, 1.5, 0.0, 100.0, at, np.ones(100, np.float32), at)
    face = across(camera, 10.0, (-1.0, 2.0), (0.0, 1.0))
    assert face is not None  # 10 m away: 10 px a metre
    assert (face.columns.start, face.columns.stop) == (40, 70) and (face.rows.start, face.rows.stop) == (55, 65)
    assert face.along[0] == pytest.approx(-0.95) and face.y[0, 0] == pytest.approx(0.95)
    wall = along(camera, 5.0, (20.0, 50.0), (0.0, 3.0))
    assert wall is not None  # x / z = (c - 49.5) / 100: 20 m ahead at 25 px from the middle, 50 m at 10 px
    assert (wall.columns.start, wall.columns.stop) == (60, 75)
    assert wall.along[-1] == pytest.approx(500 / 24.5)
    assert across(camera, -3.0, (-1.0, 1.0), (0.0, 1.0)) is None


def test_letters():
    page = lettering("T1")
    assert page.shape == (9, 13)
    assert ["".join(" #"[dot] for dot in row) for row in page[1:8, 1:6].astype(int)] == ["#####"] + ["  #  "] * 6
    right, up = (np.arange(13) + 0.5) / 13, (np.arange(9)[::-1] + 0.5) / 9
    assert np.array_equal(ink(page, right[None], up[:, None]), page)
    assert not ink(page, np.array([[-0.01, 1.01]]), np.array([[0.5], [0.99]])).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scenes": 0}, ("scenes", "0", "at least 1")),
        ({"height": 40}, ("height", "40", "at least 64")),
        ({"images_per_scene": 9}, ("images_per_scene", "9", "8", "scenes")),
    ],
)
def test_numbers_out_of_range(arguments, words):
    with pytest.raises(MedrestoreError) as error:
        StreetPhantom(**arguments)
    assert all(word in str(error.value) for word in words)


def test_an_item_of_another_phantom():
    source, _ = images(scenes=1, images_per_scene=1)
    _, others = images(scenes=1, images_per_scene=1, data_seed=5)
    with pytest.raises(MedrestoreError, match="street_phantom"):
        source.load(others[0])
