"""What a training of the paper's size does on this machine: images a second, memory, PSNR; prints, asserts nothing.

python benchmarks/step.py
python benchmarks/step.py --device gpu --precision 32 bf16 fp16 --compile no yes --steps 50

One row of Markdown for each experiment and combination, each from the command that a user types, in a process of its
own. It trains two epochs of so many steps on generated images. The second epoch is timed, when everything is warm and
compiled; the PSNR of the validation images after it shows a faster row that learns less.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from itertools import product

import torch
from ranks import history

_EXPERIMENTS = ("cervix_deblur", "retina_enhance", "brain_sr")
_RUN = ["budget=paper", "feature_weights=random", "pretrain_epochs=0", "epochs=2", "sampling.val_images=2",
        "sampling.train_images=0", "evaluation.run=false", "judge=none", "callbacks.sample_images=0"]  # fmt: skip


def measure(experiment: str, device: str, precision: str, compiled: str, steps: int) -> str:
    """A row of the table; a training that fails is a row with the reason."""
    what = f"| {experiment} | {precision} | {compiled} |"
    overrides = [
        f"experiment={experiment}", *_RUN, f"+trainer.limit_train_batches={steps}",
        f"sampling.crops_per_image={steps}",  # enough for so many batches: each is smaller than the training set
        f"hardware.accelerator={device}", f"hardware.precision={precision}",
        f"hardware.compile={'true' if compiled == 'yes' else 'false'}",
    ]  # fmt: skip
    try:
        row = history(overrides)[-1]
    except subprocess.CalledProcessError as failed:
        return f"{what} {(failed.stderr.strip().splitlines() or ['failed'])[-1]} | | | |"
    speed, wait, memory = (float(row[f"speed/{key}"]) for key in ("images_per_second", "data_wait", "peak_memory_mb"))
    return f"{what} {speed:.3g} | {wait:.0%} | {memory:.0f} | {float(row['val/psnr']):.2f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--precision", nargs="+", choices=("32", "bf16", "fp16"), default=["32"])
    parser.add_argument("--compile", nargs="+", choices=("no", "yes"), default=["no"])
    parser.add_argument("--experiments", nargs="+", choices=_EXPERIMENTS, default=list(_EXPERIMENTS))
    parser.add_argument("--steps", type=int, default=3, help="of an epoch")
    given = parser.parse_args(arguments)
    where = torch.cuda.get_device_name() if given.device == "gpu" else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {where}, PSNR after {2 * given.steps} steps\n")
    print("| experiment, budget=paper | precision | compiled | images/s | waiting for data | peak MB | PSNR |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for experiment, precision, compiled in product(given.experiments, given.precision, given.compile):
        print(measure(experiment, given.device, precision, compiled, given.steps), flush=True)


if __name__ == "__main__":
    main()
