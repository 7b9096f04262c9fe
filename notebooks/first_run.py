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
# # A first run
# Data, degradation, a short training, the table, pictures. Everything is generated here: no download, no GPU.

# %%
from pathlib import Path
from tempfile import mkdtemp

import torch
from IPython.display import Image as Show
from IPython.display import display
from PIL import Image

from medrestore.callbacks.samples import panel_grid
from medrestore.checkpoint import load_generator
from medrestore.config import build, compose
from medrestore.data.seeding import generator_of
from medrestore.run import make_data, train

workplace = Path(mkdtemp())


def show(rows):
    """Display rows of images (C, H, W) in [0, 1]."""
    path = workplace / "shown.png"
    Image.fromarray(panel_grid(rows)).save(path)
    display(Show(str(path)))


# %% [markdown]
# ## Data
# The configuration is what `python -m medrestore.train experiment=cervix_deblur` would use, made smaller.

# %%
config = compose(
    "train",
    [
        "experiment=cervix_deblur",
        "dataset.patients=18",
        "dataset.size=128",
        "epochs=4",
        "pretrain_epochs=3",
        "model.generator.width=24",
        "model.generator.depth=4",
        "sampling.crop=64",
        "evaluation.lpips=false",
        "judge=none",
        "hardware=cpu",
    ],
)
source = build(config.dataset)
catalogue = source.catalogue()
print(len(catalogue.items), "images of", len({item.group for item in catalogue.items}), "patients")
images = [source.load(item).pixels for item in catalogue.items[:4]]
show([images])

# %% [markdown]
# ## Degradation
# Paper S1 blurs with a Gaussian or a box of 3 to 6 pixels in x and y. The parameters are drawn from a seeded generator;
# applying them is a pure function.

# %%
operator = build(config.degradation.operator)
parameters = [operator.sample(generator_of("notebook", number)) for number in range(4)]
for each in parameters:
    print(each.description)
show([images, [operator.apply(image, each) for image, each in zip(images, parameters, strict=True)]])

# %% [markdown]
# ## Training and the table
# `train` exports the generator and judges it on patients it never saw, beside classical methods tuned on validation.

# %%
run = train(config, workplace / "run")

# %% [markdown]
# ## Pictures
# A test image: degraded, restored, target.

# %%
generator, about = load_generator(run.directory)
data = make_data(run.config, run.directory / "split.csv")
case = next(data.cases("test"))
with torch.inference_mode():
    restored = generator(case.degraded[None])[0]
show([[case.degraded, restored, case.target]])
print(about["notice"])
