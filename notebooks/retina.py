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
# # Retinas behind a cataract (paper S2)
# Two generators and two critics learn from photographs of clouded and of clear eyes that belong to different patients:
# nobody has the same eye sharp and clouded. So most of this notebook is about how such a training can be judged at
# all. Everything is generated here: no download, no GPU. Images, networks and the training are a small part of those
# of `python -m medrestore.train experiment=retina_enhance`: the numbers show how the evaluation works, they are no
# result.

# %%
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

import torch
from IPython.display import Image as Show
from IPython.display import Markdown, display
from PIL import Image

from medrestore.callbacks.samples import panel_grid
from medrestore.config import build, compose
from medrestore.data.splits import split_unpaired
from medrestore.degradations import Cataract
from medrestore.evaluation import figures
from medrestore.inference import WithinMemory
from medrestore.metrics import ciede2000, entropy, psnr
from medrestore.networks import PlainResidual, ResnetGenerator
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
# ## Two domains
# Generated eyes: clear ones with the map of their vessels, clouded ones of other patients with a known severity, and a
# few that were photographed before and after surgery.

# %%
settings = [
    "experiment=retina_enhance",
    "dataset.clear_patients=9",
    "dataset.cataract_patients=9",
    "dataset.pairs=2",
    "dataset.size=192",
    "sampling.split={train:0.5,val:0.2,test:0.3}",
    "sampling.crop=96",
    "sampling.batch_size=2",
    "sampling.crops_per_epoch=40",
    "sampling.val_images=2",
    "epochs=3",
    "~evaluation.classical.adaptive_unsharp",
    "~evaluation.classical.wavelet_contrast",
    "~evaluation.classical.zhou_style",
    "evaluation.tune_images=2",
    "evaluation.run=false",
    "judge=none",
    "hardware=cpu",
]
config = compose("train", settings)
source = build(config.dataset)
items = source.catalogue().items
for (role, label), count in sorted(Counter((item.role, item.label) for item in items).items()):
    print(f"{count} photographs, role {role}: {label}")
clear = [item for item in items if item.label == "clear"]
clouded = sorted((i for i in items if i.role == "source"), key=lambda item: float(source.annotations(item)["severity"]))
graded = [clouded[0], clouded[len(clouded) // 2], clouded[-1]]
show([[source.load(item).pixels for item in some] for some in (clear[::6], graded)])

# %% [markdown]
# Above clear eyes, below clouded ones from the mildest to the most severe. The field of view is found in every
# photograph: it is the mask of losses and scores, and outside it every method gives back its input. Nothing is painted
# where the camera saw nothing.
#
# The split never divides a patient, and what a GAN learns here is the difference between two *collections*. Where the
# clear photographs come from another camera it learns the camera too; `python -m medrestore.inspect_data
# dataset=fundus ...` says so, and `dataset.reference=clear` chooses the clear eyes of the same collection.

# %%
parts = ("train", "val", "test")
split = split_unpaired(items, {part: config.sampling.split[part] for part in parts}, config.data_seed)
count = Counter((split[item.key], item.role) for item in items)
tabulate(["part", "clouded", "clear"], [[p, *(str(count[p, role]) for role in ("source", "target"))] for p in parts])
masks = [source.load(item).mask.float() for item in (clear[0], clouded[-1])]
show([masks])

# %% [markdown]
# ## A truth, made
# Scores with a truth need pairs, so a sharp photograph is clouded on purpose: a veil of scattered light that grows
# towards one side, and a blur. The training never sees such a pair.

# %%
sharp = source.load(clear[2])
veiled = []
for strength in (0.3, 0.6, 1.0):
    cataract = Cataract(strength=(strength, strength))
    veiled.append(cataract.apply(sharp.pixels, cataract.sample(torch.Generator().manual_seed(3))))
show([[sharp.pixels, *veiled]])
rows = []
for strength, image in zip((0.3, 0.6, 1.0), veiled, strict=True):
    pair, mask = (image[None], sharp.pixels[None]), sharp.mask[None]
    found = float(psnr(*pair, mask=mask)), float(ciede2000(*pair, mask=mask)), float(entropy(image[None], mask=mask))
    rows.append([f"{strength}", *(f"{value:.2f}" for value in found)])
tabulate(["strength", "PSNR (dB)", "CIEDE2000", "entropy (bits)"], rows)

# %% [markdown]
# ## A truth, photographed
# Ten of S2's test eyes were photographed before and after surgery. Eye and light have moved in between, so the later
# photograph is laid over the earlier one first, by what both show in detail. What remains (light, focus, camera) is
# counted as error: S2 reports a PSNR of 16 to 19 dB, and no method can reach much more.

# %%
operated = next(item for item in items if item.label == "operated")
before, after = source.load_degraded(operated), source.load(operated)
show([[before.pixels, after.pixels, (before.pixels - after.pixels).abs()]])
rows = [[name.removeprefix("registration_"), f"{value:.2f}"] for name, value in after.metadata.items() if "reg" in name]
tabulate(["registration", "found"], rows)

# %% [markdown]
# ## A short training
# Each critic judges one domain, and its own feature maps say what must come back after the cycle from clouded to clear
# and back: the feature constraint. `model.cycle=image` is S2's row without it, `both` and `none` are the others of
# `python -m medrestore.train -m +sweep=retina_cycle`. Because the critics keep learning, the constraint moves with
# them; the norms of the features are logged, since a critic could let them shrink to nothing.

# %%
run = train(config, workplace / "run")
display(Show(figures.curves(run.directory / "metrics.csv")))

# %% [markdown]
# ## The evaluation
# Images clouded on purpose, photographs clouded by nature, and eyes before and after surgery are three kinds of
# evidence, and three tables. After a training this short the last lines of the first may well say: do not use it.

# %%
evaluation = evaluate(run)
sections = {section.title: section for section in evaluation.sections}

# %% [markdown]
# ### Without truth
# BRISQUE and the published NIQE need parameters that do not come with medrestore (`metrics.niqe_params=FILE`,
# `metrics.brisque_params=DIR`): their columns say so. NIQE fitted to the run's own sharp training photographs is the
# distance to "our clear eyes".
#
# The row `noise_control` is the input plus slight noise. It restores nothing. Where a score calls it better than the
# input, a better score of the GAN is no evidence. The pictures show all rows on one region of the middle and on the
# one where the model changes most.

# %%
tell(sections["images without truth"])

# %% [markdown]
# ### By severity
# A mean over mild and severe cataracts can hide that a method helps the one and harms the other.

# %%
tell(sections["by severity"])

# %% [markdown]
# ### Before and after surgery

# %%
tell(sections["before and after surgery"])

# %% [markdown]
# ### Vessels
# S2 shows vessel segmentations and tracked vessels as pictures. Here they are numbers, against the map that belongs to
# the sharp image: Dice never without precision, because more vessels is not better. A vessel that is not there is
# *invented*, and drawn in orange.
#
# Look at the row `sharp` first: no method can be asked for more. The two filters were set on larger photographs, and
# on these small ones they call so much vessel that even the sharp image has a poor precision; so they cannot order the
# rows here. With `judge=auto` a small network, trained on the sharp images of this very collection, stands beside them.

# %%
tell(sections["vessels"])

# %% [markdown]
# ## Large photographs
# A fundus camera gives 3504 x 2336 pixels, more than many machines can restore at once. A generator whose pixels hang
# on a bounded neighbourhood can be run in tiles without any difference. One with instance normalisation, as S2 has it,
# takes its means over what it sees, and a tile is not the whole. Both are measured when `restore` or an evaluation
# needs tiles; here with untrained networks and a budget of 4 MB.

# %%
large = source.load(clouded[-1]).pixels.repeat(1, 2, 3)
for name, generator in (
    ("bounded", PlainResidual(width=8, depth=1)),
    ("instance normalisation", ResnetGenerator(width=8, blocks=1, global_residual=False)),
):
    within = WithinMemory(generator.eval(), 4_000_000)
    within.restore(large, "this picture")
    print(f"{name}: {within.tiles_said('memory_gb')}")

# %% [markdown]
# What may not be concluded: that a restored retina shows what is there. The generators were asked to make clear eyes
# look clear, and a small haemorrhage or a fine vessel costs hardly anything in any table above. What a cataract hides
# altogether, no method brings back; it can only be invented. That is why invented vessels are counted, colour changes
# are measured, and every model file says that it is not for diagnosis.

# %%
tell(sections["Time per image"])
