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
# # CT that has moved (paper S3)
# A GAN learns to remove motion blur from CT slices. Pixels are Hounsfield units (HU): they mean something, and the
# evaluation asks in HU and by tissue what has become of them. Everything is generated here: no download, no GPU.
# Images, networks and trainings are a small part of those of `python -m medrestore.train experiment=ct_deblur`: the
# numbers show how the evaluation works, they are no result.

# %%
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

import torch
from IPython.display import Image as Show
from IPython.display import Markdown, display
from PIL import Image

from medrestore.callbacks.samples import panel_grid
from medrestore.checkpoint import load_generator
from medrestore.config import build, compose
from medrestore.data.seeding import generator_of
from medrestore.degradations import MotionBlur
from medrestore.evaluation import figures
from medrestore.evaluation.hounsfield import TISSUES, degraded_hu, measurable, tissue_errors
from medrestore.evaluation.reach import read_history, time_to_reach
from medrestore.evaluation.segmentation_pictures import legend, overlay
from medrestore.imaging import WINDOWS, from_unit, to_unit
from medrestore.run import evaluate, make_data, train

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


def tabulate(header, rows):
    """Display a table of text."""
    lines = [header, ["---"] * len(header), *rows]
    display(Markdown("\n".join("| " + " | ".join(cells) + " |" for cells in lines)))


# %% [markdown]
# ## Data
# Slices of generated patients: chest, abdomen or head. One slice in two windows: what is told apart in the one is all
# black or all white in the other.

# %%
settings = [
    "experiment=ct_deblur",
    "dataset.patients=24",
    "dataset.slices_per_patient=2",
    "dataset.size=192",
    "+degradation.operator.length=14",
    "sampling.window=wide",
    "sampling.split={train:0.5,val:0.25,test:0.25}",
    "model.generator.depth=3",
    "sampling.crop=64",
    "sampling.crops_per_image=18",
    "epochs=8",
    "evaluation.lpips=false",
    "evaluation.run=false",
    "hardware=cpu",
]
config = compose("train", [*settings, "pretrain_epochs=6"])
source = build(config.dataset)
items = source.catalogue().items
for region, count in Counter(item.label for item in items).items():
    print(f"{count} slices of the {region}")
slices = [source.load(next(item for item in items if item.label == region)) for region in ("chest", "abdomen", "head")]
print(f"HU from {min(s.pixels.min() for s in slices):.0f} to {max(s.pixels.max() for s in slices):.0f}")
soft, lung = WINDOWS["soft_tissue"], WINDOWS["lung"]
show([[to_unit(each.pixels, window) for each in slices] for window in (soft, lung)])

# %% [markdown]
# Above the soft tissue window, below the lung window. In the first the organs stand apart and the lung is black, in
# the second its vessels appear and the organs are one grey.
#
# The evaluation tells tissues by the HU of the sharp slice. Pixels between the ranges are mixtures and belong to
# none.

# %%
colours = dict(zip(TISSUES, (10, 8, 11, 7), strict=True))  # numbers of colours that the legend shows


def tissues_of(pixels):
    """Number of each pixel's tissue, -1 for none, of (1, H, W) in HU."""
    found = torch.full(pixels.shape[1:], -1)
    for name, (low, high) in TISSUES.items():
        found[(pixels[0] >= low) & (pixels[0] <= high)] = colours[name]
    return found


display(Show(overlay([to_unit(s.pixels, WINDOWS["wide"]) for s in slices], [tissues_of(s.pixels) for s in slices])))
display(Show(legend([(number, name) for name, number in colours.items()])))
yes_no = [[window, *("yes" if t in measurable(WINDOWS[window]) else "no" for t in TISSUES)] for window in WINDOWS]
tabulate(["window", *(f"{name} measurable" for name in TISSUES)], yes_no)

# %% [markdown]
# A network that sees a window cannot restore what lies outside it. A tissue whose range is cut by the window is
# therefore "not measurable" there, and gets no number. Only the wide window has all four: this notebook trains in it,
# while `experiment=ct_deblur` takes the soft tissue window unless told `sampling.window=wide`. S3 does not name its
# window, which is why no PSNR of ours can be held against its table: another window is another PSNR.

# %% [markdown]
# ## Degradation
# Random paths of a patient who cannot hold still, each centred so that the pair stays registered. S3 has a "smaller"
# and a "bigger" blur without numbers; the presets `small` and `big` are our reading. Here the paths are shorter, as
# the slices have fewer pixels.

# %%
operator = build(config.degradation.operator)
paths = [(name, MotionBlur(preset=name)) for name in ("small", "big") for _ in range(3)]
kernels = [(name, each.sample(generator_of("ct notebook", place))) for place, (name, each) in enumerate(paths)]
kernels += [("here", operator.sample(generator_of("ct notebook", number))) for number in range(2)]
captions = [f"{name}, rms {each.description['rms_radius']:.1f} px" for name, each in kernels]
display(Show(figures.kernel_sheet([each.kernel for _, each in kernels], captions)))

# %% [markdown]
# The order matters. A patient moves before anyone chooses a window, so the blur belongs on HU. Blurred after the
# window, lung and bone would carry only the window's ends into their neighbours, not their own values:

# %%
draw = kernels[-1][1]
chest = slices[0].pixels
right = to_unit(operator.apply(chest, draw), soft)
wrong = operator.apply(to_unit(chest, soft), draw)
show([[right, wrong], [(3 * (wrong - right)).clamp(0, 1), (3 * (right - wrong)).clamp(0, 1)]])
difference = (wrong - right) * (soft.high - soft.low)
for name, (low, high) in TISSUES.items():
    inside = difference[(chest >= low) & (chest <= high)]
    print(f"{name}: wrong minus right, mean {inside.mean():+.1f} HU, largest {inside.abs().max():.0f} HU")

# %% [markdown]
# Above: blurred in HU, blurred in the window. Below: where the second is too bright, where it is too dark, three
# times amplified. The errors sit beside what the window hides: around the lung, which counts as the window's lower
# end and no more, and at the ribs, which count as its upper end. A network trained on the wrong pairs would learn to
# undo a blur that no scanner makes.

# %% [markdown]
# ## Two short trainings
# S3 trains the generator alone before the critic joins, and writes that this saves time. So twice the same number of
# epochs on the same crops: generator first, and with the critic from the start.

# %%
run = train(config, workplace / "generator_first")
at_once = compose("train", [*settings, "pretrain_epochs=0", "about.variant=critic_at_once"])
other = train(at_once, workplace / "critic_at_once")
display(Show(figures.curves(run.directory / "metrics.csv")))

# %%
histories = {each.directory.name: read_history(each.directory / "metrics.csv") for each in (run, other)}
reached = time_to_reach(*histories.values())
rows = []
for name, reach in zip(histories, reached, strict=True):
    after = "never" if reach.steps is None else f"{reach.steps} steps, {reach.seconds:.0f} s"
    end = f"{reach.final:.2f} dB after {reach.all_steps} steps, {reach.all_seconds:.0f} s"
    rows.append([name, end, f"{reach.target:.2f} dB", after])
tabulate(["training", "its end (validation)", "the other's end", "reached after"], rows)

# %% [markdown]
# Both trainings take the same number of steps, but not the same time: steps of the generator alone are cheaper. Which
# of them arrives first is not settled by one seed on one machine that may have other work to do: for the claim itself
# take several seeds, and `python -m medrestore.compare 'runs=[A,B]'`, which makes this table.

# %% [markdown]
# ## The evaluation
# The test slices are of patients that training never saw. The second training is a row of the same table, as
# `ct_pix2pix` and `ct_deblurgan` are for S3's table: `python -m medrestore.evaluate run=A 'baselines=[B,C]'`.

# %%
evaluation = evaluate(run, baselines=[other.directory])
by_tissue, timing = evaluation.sections

# %% [markdown]
# The last lines say in words whether the model is worth using at all; after a training this short it need not be.
# PSNR and SSIM are those of the wide window, and count the air around the patient as much as the patient. They say
# nothing about tissues; the next tables do.
#
# ### Errors in Hounsfield units by tissue
# Mean absolute error and bias, restored minus truth. A bias is what a dose plan or a density would feel, even where
# the image looks sharp. `identity` is the moved slice itself.

# %%
tell(by_tissue)

# %% [markdown]
# What to look for: a tissue in which a method has a larger error or another sign of bias than `identity`, although
# its PSNR is higher. The oracle rows are given the true path, which nobody has.
#
# One slice, from HU to HU as `restore` writes a file: where the window hid the input's values they are kept.

# %%
generator, about = load_generator(run.directory)
data = make_data(run.config, run.directory / "split.csv")
case = next(case for case in data.cases("test") if case.annotations["label"] == "chest")
wide = WINDOWS["wide"]
moved = degraded_hu(case, wide)
with torch.inference_mode():
    restored = from_unit(generator(case.degraded[None])[0].clamp(0, 1), wide, moved)
truth = case.image.pixels
show([[to_unit(pixels, window) for pixels in (moved, restored, truth)] for window in (soft, lung)])
valid = torch.ones_like(truth, dtype=torch.bool) if case.mask is None else case.mask
rows = []
for name, pixels in (("moved", moved), ("restored", restored)):
    found = tissue_errors(pixels, truth, valid, wide)
    rows.append([name, *(f"{found[t].mae:.1f} ({found[t].bias:+.1f})" if t in found else "-" for t in TISSUES)])
tabulate(["HU: error (bias)", *TISSUES], rows)

# %% [markdown]
# Moved, restored, truth; above in the soft tissue window, below in the lung window. The network was trained in the
# wide window, where an error that fills the soft tissue window is hardly seen by the loss: that is the price of
# having all tissues.
#
# What may not be concluded: that small nodules come back. A mean over a tissue is made of its many plain pixels; a
# nodule is a few, and a vessel that a network adds costs hardly anything in these tables. Nor do two dozen drawn
# patients say anything about real ones, whose motion is in three dimensions and during the reconstruction, not a
# convolution of a slice.

# %%
tell(timing)
print(about["notice"])
