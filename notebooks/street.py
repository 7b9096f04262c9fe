# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Street scenes with camera shake (paper S4)
# A GAN learns to remove motion blur from street scenes, with the paper's edge-aware smoothness and its random scale
# crop, and is judged by what a segmenter sees in its images, by their spectra and by the strength of the blur.
# Everything is generated here: no download, no GPU. Images, networks and trainings are a small part of those of
# `python -m medrestore.train experiment=street_deblur`: the numbers show how the evaluation works, they are no
# result.

# %%
from pathlib import Path
from tempfile import mkdtemp

import torch
from IPython.display import Image as Show
from IPython.display import Markdown, display
from PIL import Image

from medrestore.callbacks.samples import panel_grid
from medrestore.checkpoint import load_generator
from medrestore.config import build, compose
from medrestore.data.scale_crop import ScaleCrop
from medrestore.data.seeding import generator_of
from medrestore.data.street_classes import CLASSES
from medrestore.evaluation import figures
from medrestore.evaluation.segmentation_pictures import legend, overlay
from medrestore.metrics import fourier_error, mean_jaccard, psnr
from medrestore.run import evaluate, make_data, train
from medrestore.tasks import load_judge

workplace = Path(mkdtemp())


def show(rows):
    """Display rows of images (C, H, W) in [0, 1], twice as large."""
    path = workplace / "shown.png"
    drawn = Image.fromarray(panel_grid(rows))
    drawn.resize((2 * drawn.width, 2 * drawn.height), Image.Resampling.NEAREST).save(path)
    display(Show(str(path)))


def tell(section):
    """Display a part of the report: sentences, tables, pictures."""
    for line in section.lines:
        display(Markdown(line))
    for table in section.tables:
        lines = [table.header, ["---"] * len(table.header), *table.rows]
        body = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        display(Markdown(f"**{table.caption}**\n\n{body}"))
    for data, _, caption in section.pictures:
        display(Show(data), Markdown(f"*{caption}*"))


# %% [markdown]
# ## Data
# Generated streets with houses, signs, number plates, people and cars, and the class of every pixel. The images of a
# scene are taken on one drive, a few metres apart: a split never divides a scene.

# %%
streets = [
    "dataset.scenes=24",
    "dataset.images_per_scene=2",
    "dataset.height=128",
    "dataset.width=208",
    "hardware=cpu",
]
config = compose(
    "train",
    [
        "experiment=street_deblur",
        *streets,
        "+degradation.operator.length=14",
        "sampling.split={train:0.5,val:0.25,test:0.25}",
        "model.generator.depth=3",
        "sampling.crop=64",
        "sampling.scale_crop={mean:64,sigma:25,least:32}",
        "sampling.crops_per_image=24",
        "epochs=8",
        "pretrain_epochs=6",
        "evaluation.run=false",
    ],
)
source = build(config.dataset)
items = source.catalogue().items[::2][:3]
images = [source.load(item).pixels for item in items]
labels = [source.annotations(item)["labels"] for item in items]
display(Show(overlay(images, labels)))
there = sorted({int(number) for each in labels for number in each.unique() if number < len(CLASSES)})
display(Show(legend([(number, CLASSES[number]) for number in there])))

# %% [markdown]
# Above the scenes, below their classes. Poles, signs and people are a few pixels wide: they are what a blur takes
# first.

# %% [markdown]
# ## Degradation
# S4 blurs the whole image with one kernel, the path of a shaking camera. Its "future work" is here as well: paths
# that differ from place to place, and a camera that turns. A grid of white points shows what each does, and where.

# %%
uniform = build(config.degradation.operator)
drawn = [uniform.sample(generator_of("street notebook", number)) for number in range(8)]
captions = [f"rms {each.description['rms_radius']:.1f} px" for each in drawn]
display(Show(figures.kernel_sheet([each.kernel for each in drawn], captions)))

points = torch.zeros_like(images[0])
points[:, 10::18, 8::24] = 1.0
blurs = {}
for name in ("motion_camera", "motion_patchwise", "motion_rotation"):
    operator = build(compose("train", [f"degradation={name}", "+degradation.operator.length=14"]).degradation.operator)
    draw = operator.sample(generator_of("street notebook", "compared"))
    light = operator.apply(points, draw)
    blurs[name] = [operator.apply(images[0], draw), (light / light.max()).clamp(0, 1).sqrt()]
    print(f"{name}: root mean square radius {draw.description['rms_radius']:.2f} px")
show([[blurred for blurred, _ in blurs.values()], [light for _, light in blurs.values()]])

# %% [markdown]
# One kernel everywhere, kernels that change from place to place, a camera that turns. The first row hardly tells them
# apart; the points do. A network trained on the first has never seen the other two: that it restores them as well
# must be measured (`evaluate run=DIR degradation=motion_rotation`), not assumed.

# %% [markdown]
# ## The random scale crop
# S4 draws the side of each crop from a normal distribution and resizes the pair to one size, so that one kernel is
# seen at many scales. In pixels of the resized crop a small box has a strong blur, a large box a weak one.

# %%
crops = ScaleCrop(mean=256, sigma=100, least=128)  # S4's numbers, for images of 1024 pixels
draws = generator_of("street notebook", "sides")
sides = torch.tensor([crops.draw_side(1024, 1024, draws) for _ in range(1000)]).double()
quartiles = ", ".join(f"{value:.0f}" for value in torch.quantile(sides, torch.tensor([0.25, 0.5, 0.75]).double()))
print(f"sides: quartiles {quartiles} px; {float((sides == 128).double().mean()):.1%} held at the least side")

data = make_data(config, None)
data.prepare("train")
batch = next(iter(data.train_dataloader()))
show([list(batch.degraded), list(batch.target)])

# %% [markdown]
# A batch as the network gets it: above blurred, below sharp. Crops of small boxes look soft even below. S4 says so
# too: enlarging adds no detail, so that its sharp targets are less sharp than those of a plain crop.

# %% [markdown]
# ## A short training
# L1 with the edge-aware smoothness, first the generator alone, then with the critic. The paper's scaled perceptual
# loss needs ImageNet weights to mean anything: `+sweep=street_ablation` puts all of S4's methods side by side, three
# seeds each.

# %%
run = train(config, workplace / "run")
display(Show(figures.curves(run.directory / "metrics.csv")))

# %% [markdown]
# Look at L1 and smoothness together: a sharper image has steeper gradients, so the two terms pull against each other,
# and the weight between them decides.

# %% [markdown]
# ## A judge
# A small U-Net learns the classes on the sharp images of the same training scenes. Its own score against the labels
# is taken on sharp test images. Below a floor (mean IoU 0.6) a judge is not asked; the floor is lowered here, because
# a training this short need not reach it. What follows shows how the fold is made; what it says about this model is
# worth as little as the judge.

# %%
judging = compose(
    "train",
    [
        "experiment=street_segmenter",
        *streets,
        f"sampling.split.file={run.directory / 'split.csv'}",
        "sampling.crop=96",
        "sampling.crops_per_image=8",
        "epochs=12",
        "model.floor=0.3",
    ],
)
train(judging, workplace / "judge")
judge, _ = load_judge(workplace / "judge")

# %% [markdown]
# ## The evaluation
# PSNR and SSIM, LPIPS and the Fourier error of S4, on scenes that no network was trained on. S4 finds PSNR and SSIM
# insufficient; they stand here because the other three can be bought by invented texture as well.

# %%
evaluation = evaluate(run, [f"judge={workplace / 'judge'}"])
segments, strata, spectra, timing = evaluation.sections

# %% [markdown]
# Where no ImageNet weights are at hand, LPIPS has a random backbone, and its column says so: its rows may be compared
# with each other, never with a paper.
#
# ### What a segmenter sees
# IoU between the segmentation of each row's image and that of the sharp image: not whether the classes are right, but
# whether they stay the same.

# %%
tell(segments)

# %% [markdown]
# How to read it: the rows need not have the order that PSNR gives them. `sharp against human labels` is how well the
# judge does at all. Where that is poor, agreement with it says little: two images can agree in a mistake. Classes of
# few pixels swing most, and weigh as much as the road in the mean.
#
# ### The Fourier error, and where it comes from
# One image: the magnitude spectrum of a blurred image lacks the high frequencies, along the direction of the path
# most of all.

# %%
tell(spectra)

# %%
generator, about = load_generator(run.directory)
data = make_data(run.config, run.directory / "split.csv")
case = next(data.cases("test"))
with torch.inference_mode():
    restored = generator(case.degraded[None])[0].clamp(0, 1)
sharp = judge.predict(case.target)
moved = case.target.roll(3, dims=-1)  # the sharp image, three pixels aside
for name, image in (("degraded", case.degraded), ("restored", restored), ("sharp, moved 3 px", moved)):
    error = fourier_error(image[None], case.target[None], grey=True)
    same = mean_jaccard(judge.predict(image)[None], sharp[None], len(CLASSES))
    quality = psnr(image[None], case.target[None])
    print(f"{name}: Fourier error {float(error):.6f}, IoU {float(same):.3f}, PSNR {float(quality):.2f} dB")
show([[case.degraded, restored, case.target]])

# %% [markdown]
# The last line is a warning. The Fourier error of S4 compares magnitudes and is blind to phase: the sharp image moved
# aside has an error of nothing, though not a pixel is in its place. A low Fourier error alone is no restoration.

# %% [markdown]
# ### By strength of the blur
# A mean over all images hides where a method helps. The thirds are those of the kernels' root mean square radius.

# %%
tell(strata)

# %% [markdown]
# What to look for: whether the gain lasts as the blur grows, and whether weakly blurred images come out worse than
# they went in, because a network changes what needed no change. Each third has a few images of a few scenes; where
# there are fewer than five scenes there is no interval, and a difference between thirds may be one between scenes.
#
# What may not be concluded: that one of S4's methods is better than another. This is one training with one seed;
# differences between trainings have to stand out from those between seeds, which is what the sweep and `compare` are
# for. And that drawn streets are easier than real ones goes without saying.

# %%
tell(timing)
print(about["notice"])
