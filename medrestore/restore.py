"""Restore images with a trained generator: a file or a folder in, a folder out."""

from __future__ import annotations

from typing import Any

from medrestore.command import main
from medrestore.config import plain


@main("restore")
def restore(config: Any) -> Any:
    """Restore images with a trained generator: file or folder in, folder out, names and depth kept.

    python -m medrestore.restore run=DIR input=photograph.png output=restored
    python -m medrestore.restore run=generator.safetensors input=DIR output=DIR overwrite=true
    torchrun --nproc-per-node=2 -m medrestore.restore run=DIR input=DIR output=DIR
    """
    from pathlib import Path

    from medrestore.hardware import own_device
    from medrestore.inference.files import restore_files
    from medrestore.progress import track

    outcome = restore_files(
        run=Path(config.run),
        source=Path(config.input),
        output=Path(config.output),
        overwrite=config.overwrite,
        memory_bytes=int(config.memory_gb * 2**30),
        window=plain(config.window),
        device=own_device(config.accelerator),
        track=track,
    )
    if outcome.tiles is not None:
        print(outcome.tiles)
    print(f"restored {outcome.restored} images into {config.output}")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    restore()
