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
# # Cervix photographs out of focus (paper S1)
# A GAN learns to sharpen colposcopy photographs, and is then judged in the paper's three folds: against the truth,
# without truth, and by what a detector of abnormal tissue makes of its images. Everything is generated here: no
# download, no GPU. Images, networks and trainings are a small part of those of `python -m medrestore.train
# experiment=cervix_deblur`: the numbers show how the evaluation works, they are no result.

# %%
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

import torch
from IPython.display import Image as Show
from IPython.display import Markdown, display
from PIL import Image
from torchvision.utils import draw_bounding_boxes

from medrestore.callbacks.samples import panel_grid
from medrestore.checkpoint import load_generator
from medrestore.config import build, compose
from medrestore.data.seeding import generator_of
from medrestore.evaluation import figures
from medrestore.metrics import piqe, piqe_band, psnr, ssim, ssim_map
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
# Views of generated patients. Every second patient has aceto-white lesions: each image of theirs is abnormal, and the
# boxes around the lesions are known. Other patients, whose images come blurred and without a sharp original, make the
# set that is degraded by nature.

# %%
patients = [
    "dataset.patients=50",
    "dataset.images_per_patient=2",
    "dataset.natural_patients=6",
    "dataset.size=160",
    "hardware=cpu",
]
config = compose(
    "train",
    [
        "experiment=cervix_deblur",
        *patients,
        "sampling.split={train:0.76,val:0.12,test:0.12}",
        "sampling.crop=64",
        "sampling.crops_per_image=5",
        "epochs=8",
        "pretrain_epochs=6",
        "evaluation.lpips=false",
        "evaluation.run=false",
    ],
)
source = build(config.dataset)
items = source.catalogue().items
for (role, label), count in Counter((item.role, item.label) for item in items).items():
    print(f"{count} images, {'sharp' if role == 'target' else 'degraded by nature'}, {label}")


def framed(image, boxes, colour):
    """The image with boxes (k, 4) drawn on it."""
    return draw_bounding_boxes(image, boxes, colors=colour, width=1) if len(boxes) else image


chosen = [next(i for i in items if (i.role, i.label) == ("target", label)) for label in ("normal", "abnormal")]
chosen += [item for item in items if item.role == "target" and item.label == "abnormal"][2:6:2]
images = [source.load(item).pixels for item in chosen]
truth = [source.annotations(item)["boxes"] for item in chosen]
show([[framed(image, boxes, "lime") for image, boxes in zip(images, truth, strict=True)]])

# %% [markdown]
# One normal cervix, then three abnormal ones with their lesions framed. The images of one patient are much alike, so
# that a split must never divide a patient: otherwise the network is tested on what it has learned by heart.

# %% [markdown]
# ## Degradation
# S1 blurs with a Gaussian or a box of 3 to 6 pixels, drawn anew for x and y. The kernels have zero phase, even those
# of even size: a kernel that shifts the image would teach the network to shift it back.

# %%
operator = build(config.degradation.operator)
drawn = [operator.sample(generator_of("cervix notebook", number)) for number in range(8)]
captions = ["{kind}, {size_x} x {size_y}".format(**each.description) for each in drawn]
display(Show(figures.kernel_sheet([each.kernel for each in drawn], captions)))
show([images, [operator.apply(image, each) for image, each in zip(images, drawn, strict=False)]])

# %% [markdown]
# Above sharp, below blurred by the first four kernels. The pattern of a lesion is about as fine as the blur is wide:
# that is what a detector may miss.
#
# The set that is degraded by nature is blurred in another way, out of focus on a tilted plane, moved, with noise,
# because real blur is never that of the training:

# %%
natural = [source.load(item).pixels for item in items if item.role == "source"][::3]
show([natural])

# %% [markdown]
# ## A short training
# First the generator alone with an L1 loss, then with the critic (WGAN-GP). S1 trains on 2048 pairs for 300 epochs
# with a feature loss; `budget=paper` has its settings.

# %%
run = train(config, workplace / "run")
display(Show(figures.curves(run.directory / "metrics.csv")))

# %% [markdown]
# The content loss falls and the PSNR of the validation images rises. In the last two epochs the critic joins, and the
# generator serves two masters. Whether a critic's loss goes up or down says nothing about the images.
#
# ## A judge for the third fold
# A Faster R-CNN that learns on the sharp images of the same training patients where abnormal tissue is. It is then
# frozen. Its threshold is fixed on sharp validation images, and its own score is taken on sharp test images: below a
# floor (AUC 0.9) a judge is not asked, and the third fold says "unusable" and has no scores.

# %%
judging = compose(
    "train",
    [
        "experiment=cervix_lesion_detector",
        *patients,
        f"sampling.split.file={run.directory / 'split.csv'}",
        "epochs=32",
        "model.side=160",
    ],
)
train(judging, workplace / "judge")
judge, _ = load_judge(workplace / "judge")

# %% [markdown]
# ## The evaluation
# Every row sees the same test images of patients that no network was trained on: the input as it is, classical
# methods tuned on validation images, oracles that are given the true kernel, and the two stages of the generator.

# %%
evaluation = evaluate(run, [f"judge={workplace / 'judge'}"])
good, without_truth, detection, timing = evaluation.sections

# %% [markdown]
# ### Fold 1: with truth
# The table above has PSNR and SSIM, and its last lines say in words whether the model is worth using at all; after a
# training this short it need not be. S1 calls an image good from 30 dB and 0.9 on, and remarks that strong gradients
# go with low PSNR and wide kernels with low SSIM: here are the shares and both correlations, with their intervals.

# %%
tell(good)

# %% [markdown]
# Where the input passes S1's thresholds already, passing them proves nothing about the restoration. And a correlation
# over so few patients has the interval that stands beside it.
#
# One image in detail: the error and the SSIM map tell where the scores come from.

# %%
generator, about = load_generator(run.directory)
data = make_data(run.config, run.directory / "split.csv")
case = next(case for case in data.cases("test") if case.annotations["label"] == "abnormal")


def restore(image):
    """What the generator makes of (C, H, W) in [0, 1]."""
    with torch.inference_mode():
        return generator(image[None])[0].clamp(0, 1)


rows = {"identity": case.degraded, "restored": restore(case.degraded)}
for name, image in rows.items():
    scores = psnr(image[None], case.target[None]), ssim(image[None], case.target[None])
    print(f"{name}: {float(scores[0]):.2f} dB, SSIM {float(scores[1]):.4f}")
show([[*rows.values(), case.target]])
errors = {name: (image - case.target).abs() for name, image in rows.items()}
maps = {name: ssim_map(image[None], case.target[None])[0] for name, image in rows.items()}
display(Show(figures.maps(errors, maps)))

# %% [markdown]
# Degraded, restored, target. What is left of the error sits at edges and highlights: the finest structure is gone
# from the input, and what a network puts there is its opinion.
#
# ### Fold 2: without truth
# PIQE looks at one image alone. It falls when texture appears, and does not ask whether the texture is true. So each
# number stands beside that of a control: the input plus slight noise, which restores nothing.

# %%
tell(without_truth)

# %%
degraded = natural[0]
noise = 2 / 255 * torch.randn(degraded.shape, generator=generator_of("cervix notebook", "noise"))
tried = {"input": degraded, "restored": restore(degraded), "input plus noise": (degraded + noise).clamp(0, 1)}
for name, image in tried.items():
    score = float(piqe(image[None]))
    print(f"{name}: PIQE {score:.1f}, {piqe_band(score)} (natural-image scale)")
show([list(tried.values())])

# %% [markdown]
# If the third picture has a better PIQE than the first, the score was bought with noise. And look closely at the
# second: fine regular texture that the input does not have is invented, and PIQE rewards it as well. A fall of PIQE
# must never be read as "sharper" without this control; S1 reports one without.
#
# ### Fold 3: what the detector says
# The same frozen detector looks at the sharp image, the input and each restoration.

# %%
seen = {"degraded": case.degraded, "restored": restore(case.degraded), "sharp": case.target}
for name, image in seen.items():
    found = judge.predict(image)
    print(f"{name}: score {float(found.scores.max()):.2f}, threshold {judge.threshold:.2f}")
    seen[name] = framed(framed(image, case.annotations["boxes"], "lime"), found.boxes[:1], "yellow")
show([list(seen.values())])

# %% [markdown]
# Green: the true lesions. Yellow: the box with the highest score, which is the score of the image. One image is an
# example; the tables count all of them.

# %%
tell(detection)

# %% [markdown]
# How to read it: the row `sharp` is what this judge does with nothing to restore, `identity` what it does without
# restoration. Where both have the same answers, the blur took nothing that this judge looks at, and the fold cannot
# tell a good restoration from a bad one. Only a change between the rows `identity` and `restored` on the same images
# counts, and only where McNemar's test says that it is more than chance; on a dozen images it hardly ever can. An
# accuracy needs both classes: S1's 14 images were all normal, so that a judge that always says "normal" would have
# been right every time.
#
# What may not be concluded: anything about patients. The images are drawn, and the judge has learned for a minute.
# Nor does a better answer of a detector mean that a human sees more, or that what it sees is there.

# %%
tell(timing)
print(about["notice"])
