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
# # Brain slices, four times as large (paper S5)
# SRResNet learns to enlarge, then SRGAN goes on from its weights. This notebook walks from the choice of slices to the
# question whether an enlarged slice may be believed. Everything is generated here: no download, no GPU. Images, network
# and training are a small part of those of `python -m medrestore.train experiment=brain_sr`: the numbers show how the
# evaluation works, they are no result.

# %%
from pathlib import Path
from tempfile import mkdtemp

import torch
from IPython.display import Image as Show
from IPython.display import Markdown, display
from PIL import Image

from medrestore.callbacks.samples import panel_grid
from medrestore.classical import Bicubic, Lanczos, Nearest
from medrestore.config import build, compose
from medrestore.degradations import Downsample
from medrestore.evaluation import figures
from medrestore.imaging import to_unit, window_of
from medrestore.imaging.pixel_difference import pixel_difference
from medrestore.metrics import psnr, ssim
from medrestore.run import evaluate, train

workplace = Path(mkdtemp())


def show(rows):
    """Display rows of images (C, H, W) in [0, 1]."""
    path = workplace / "shown.png"
    Image.fromarray(panel_grid(rows)).save(path)
    display(Show(str(path)))


def tell(section):
    """Display a part of the report: sentences, tables, pictures."""
    for line in section.lines:
        display(Markdown(line))
    for table in section.tables:
        tabulate(table.header, table.rows, f"**{table.caption}**\n\n")
    for data, _, caption in section.pictures:
        display(Show(data), Markdown(f"*{caption}*"))


def tabulate(header, rows, above=""):
    """Display a table of text."""
    lines = [header, ["---"] * len(header), *rows]
    display(Markdown(above + "\n".join("| " + " | ".join(cells) + " |" for cells in lines)))


# %% [markdown]
# ## Which slices
# A series begins and ends with slices that show hardly anything, and an average over them flatters every method. S5
# scores each slice by the differences of neighbouring pixels, after a Gaussian that takes the noise away, and drops
# those below the mean. Here the threshold comes from the training patients alone; `dataset.screen=true` applies it, and
# `python -m medrestore.screen` writes what is kept and dropped, with a histogram and a contact sheet.

# %%
settings = [
    "experiment=brain_sr",
    "dataset.patients=12",
    "dataset.slices_per_patient=3",
    "dataset.size=160",
    "sampling.split={train:0.5,val:0.2,test:0.3}",
    "sampling.batch_size=4",
    "sampling.crops_per_epoch=60",
    "sampling.val_images=2",
    "epochs=6",
    "pretrain_epochs=4",
    "evaluation.run=false",
    "judge=none",
    "hardware=cpu",
]
config = compose("train", settings)
source = build(config.dataset)
items = source.catalogue().items
slices = []
for item in items[:8]:
    record = source.load(item)
    slices.append(to_unit(record.pixels, window_of(record, "auto")))
slices.sort(key=pixel_difference)
show([slices[:4], slices[4:]])
print("scores:", ", ".join(f"{pixel_difference(image):.4f}" for image in slices))

# %% [markdown]
# ## One operator
# How the small slice was made decides what an interpolation can reach, so every row sees the same one: shrunk by a
# cubic that is stretched by the factor, which antialiases. S5's networks saw another operator and factor than its
# interpolations. The convention stands under every table.

# %%
sharp = slices[-1]
tabled = []
for kind in ("bicubic", "area", "bilinear", "gaussian"):
    operator = Downsample(4, kind)
    small = operator.apply(sharp, operator.sample(torch.Generator().manual_seed(0)))[None]
    cells = [kind]
    for method in (Nearest(4), Bicubic(4), Lanczos(4)):
        enlarged = method.restore(small)
        cells.append(f"{float(psnr(enlarged, sharp[None])):.2f} dB, {float(ssim(enlarged, sharp[None])):.3f}")
    tabled.append(cells)
tabulate(["shrunk by", "nearest", "bicubic", "Lanczos"], tabled)

# %% [markdown]
# ## Two stages in one run
# First pixels alone, then a critic as well. The generator at the end of the first stage is the row `pretrained`; of the
# second stage the epoch is kept that S5's rule chooses from the validation scores. The curves show training and
# validation images in the same way, so that overfitting can be seen; a line in the report says when they part.

# %%
run = train(config, workplace / "run")
display(Show(figures.curves(run.directory / "metrics.csv")))

# %%
evaluation = evaluate(run)
sections = {section.title: section for section in evaluation.sections}
for line in evaluation.verdict:
    display(Markdown(line))

# %% [markdown]
# ## Is it the same slice?
# An enlarged slice that is shrunk again must give back what was measured. A network that draws what was not there is
# seen here, whatever its sharpness.

# %%
for title, section in sections.items():
    if title != "Time per image":
        display(Markdown(f"### {title}"))
        tell(section)

# %% [markdown]
# What may not be concluded: that fine structure in an enlarged slice is anatomy. Above a quarter of the Nyquist
# frequency the small slice holds nothing, and everything there is a guess, likely on average. Scores count pixels; what
# people see is asked in an opinion study, `python -m medrestore.study action=build run=RUN output=STUDY`, with the
# sharp slice hidden among the others.
