"""Trains every scheme for one step and for ten; started in one process or by torchrun in several.

python -m torch.distributed.run --nproc-per-node=2 tests/shared_matrix.py OUTPUT [CASE ...] [unshared]

With `unshared` each process takes its share for the whole batch: what the comparison must notice.
"""

from __future__ import annotations

import sys
from pathlib import Path

_SMALL = [
    "hardware=cpu",
    "hardware.precision=64",
    "sampling.crops_per_image=4",
    "sampling.val_images=3",
    "callbacks.sample_images=0",
    "evaluation.run=false",
    "feature_weights=random",
    "judge=none",
]
_CERVIX = ["dataset.patients=6", "dataset.images_per_patient=1", "dataset.size=64", "dataset.natural_patients=0"]
_FUNDUS = ["dataset=fundus_phantom", "dataset.size=64", "dataset.clear_patients=6", "dataset.cataract_patients=6",
           "dataset.pairs=0"]  # fmt: skip
_BRAIN = ["dataset.patients=6", "dataset.slices_per_patient=1", "dataset.size=64"]
_PLAIN = ["network@model.generator=plain", "model.generator.width=4", "model.generator.depth=1"]
_RESNET = ["network@model.generator=resnet_9", "model.generator.width=4", "model.generator.blocks=1"]
_WGAN = ["experiment=cervix_deblur", *_CERVIX, "loss=l1", "model.critic.width=4", "model.critic_steps=2",
         "sampling.crop=16"]  # fmt: skip
_SR = ["experiment=brain_sr", *_BRAIN, "sampling.crop=32", "model.critic.width=2", "loss=mse",
       "degradation.operator.scale=2"]  # fmt: skip
CASES = {
    "paired_wgan": [*_WGAN, *_RESNET, "model.generator.dropout=0.5", "model.ema_decay=0.9"],
    "paired_wgan_auto": [*_WGAN, *_PLAIN, "loss.l1.weight=auto", "+loss.l1.auto_steps=3"],
    "paired_wgan_batch_norm": [*_WGAN, *_PLAIN, "++model.critic.norm=batch"],
    "paired_wgan_recomputed": [
        *(*_WGAN, *_RESNET, "model.generator.dropout=0.5", "hardware.activation_checkpointing=true"),
    ],
    "pix2pix": [
        *("experiment=ct_pix2pix", "dataset.patients=6", "dataset.slices_per_patient=1", "dataset.size=64"),
        *("network@model.generator=unet", "model.generator.width=2", "model.generator.depth=6", "sampling.crop=64"),
        *("model.critic.width=4", "loss=l1"),
    ],
    "paired_regression": [  # with fields of view that cut the crops differently
        *("experiment=cervix_regression", "degradation=motion", "loss=l1_smooth", "sampling.crop=32"),
        *[override for override in _FUNDUS if "cataract" not in override],
        *_PLAIN,
    ],
    "two_stage_sr": [
        *_SR,
        *("network@model.generator=srresnet", "model.generator.width=4", "model.generator.blocks=1"),
        *("model.generator.dropout=0.5", "model.relativistic=true"),
    ],
    "two_stage_sr_in_parts": [*_SR, *_PLAIN, "model.accumulate=2", "++model.critic.norm=instance"],
    "cycle_feature": [
        *("experiment=retina_enhance", *_FUNDUS, "sampling.crop=32", "model.critic.width=4", "model.history=6"),
        *_PLAIN,
        "model.cycle=both",
    ],
    "vessel_segmenter": ["experiment=vessel_segmenter", *_FUNDUS, "sampling.crop=64"],
    "scene_segmenter": [
        *("experiment=street_segmenter", "dataset.scenes=6", "dataset.images_per_scene=1"),
        *("dataset.height=64", "dataset.width=64", "sampling.crop=64"),
    ],
}  # fmt: skip


def main(output: Path, names: list[str]) -> None:
    """Train the cases below `output/<case>/{one,ten}`."""
    from medrestore import shared_batch
    from medrestore.config import compose
    from medrestore.processes import hush, join, leave

    if "unshared" in names:
        shared_batch.begin_sharing = lambda rank, ranks: None  # before who calls it has it
        names = [name for name in names if name != "unshared"]
    from medrestore.run import train

    hush()
    join()
    for name in names:
        size = 8 if name.endswith("in_parts") else 4
        case = [*_SMALL, f"sampling.batch_size={size}", *CASES[name]]
        staged = name.startswith(("paired_wgan", "two_stage"))
        for steps, many in (("one", [f"epochs={1 + staged}", f"sampling.crops_per_epoch={size}"]),
                            ("ten", ["epochs=5", f"sampling.crops_per_epoch={2 * size}"])):  # fmt: skip
            stage = [f"pretrain_epochs={int(staged)}"] if "segmenter" not in name else ["pretrain_epochs=0"]
            train(compose("train", [*case, *many, *stage]), output / name / steps)
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(CASES))
