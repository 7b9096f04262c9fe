"""Unpaired enhancement by a cycle with the dynamic feature constraint (paper S2, after CycleGAN, arXiv:1703.10593).

    x degraded, y sharp;  G enhances, B degrades;  D judges sharp images, C degraded ones

    critics:     mean (D(y) - 1)^2 / 2 + mean D(G(x))^2 / 2  +  mean (C(x) - 1)^2 / 2 + mean C(B(y))^2 / 2
    generators:  adversarial_weight * (mean (D(G(x)) - 1)^2 + mean (C(B(y)) - 1)^2)
                 + feature_weight  * mean over layers l of (|C_l(B(G(x))) - C_l(x)| + |D_l(G(B(y))) - D_l(y)|)
                 + identity_weight * (|G(y) - y| + |B(x) - x|)

The features C_l and D_l are those of the critics as they are at this step. Everything is averaged over the field of
view. S2 prints one min-max problem of the same squares, which is wrong when taken by the letter; the least squares are
those of LSGAN (arXiv:1611.04076, eq. 9).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, ClassVar, Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from medrestore.data.samples import Unpaired
from medrestore.data.seeding import generator_of
from medrestore.errors import MedrestoreError
from medrestore.losses import LeastSquares, l1
from medrestore.schemes.feature_norms import FeatureNorms
from medrestore.schemes.history_pool import HistoryPool
from medrestore.schemes.restorer import AbstractRestorer, MakeOptimizer
from medrestore.shared_batch import batch_mean, own_slice

Cycle = Literal["feature", "image", "both", "none"]
_log = logging.getLogger(__name__)


class CycleFeature(AbstractRestorer):
    """Train two generators against two critics on images that do not belong together.

    Args:
        generator: enhances, [0, 1] -> [0, 1]; what is exported.
        degrader: makes degraded images of sharp ones, [0, 1] -> [0, 1].
        critic: of sharp images; `(N, C, H, W)` -> score map, with `features(images)` for the feature cycle.
        degraded_critic: the same for degraded images.
        generator_optimizer: makes the one optimiser of both generators.
        critic_optimizer: makes the one optimiser of both critics.
        cycle: what returns to where it came from: `feature` as in S2's eq. 3, `image` as in CycleGAN and in S2's row
            without feature constraint, `both`, or `none`.
        head_features: whether the critics' scores count as one more layer of features.
        adversarial_weight: of both adversarial terms.
        feature_weight: of the feature cycle in both directions.
        image_weight: of the image cycle in both directions.
        identity_weight: of the identity terms, 10 in S2, 5 in CycleGAN; 0 leaves them out.
        critic_steps: critic updates before each update of the generators, on the same images; 1 as published.
        history: past images kept for each critic (CycleGAN); 0 for none.
        use_masks: whether the losses look at the field of view alone; outside it a generated image is its input, and
            the critics see black.
        collapse_share: a warning is given where a layer's features are smaller than this share of the first epoch's.
        pretrain_epochs: the first epochs teach both generators to return images of either kind, without critics; of
            use for generators that do not start as the identity.
        decay_from: share of the training after which the rates fall linearly to 0.
        ema_decay: of the averaged generator, or None.
        gradient_clip: largest gradient norm, or None.

    Raises:
        MedrestoreError: an unknown cycle, a critic without features, or a generator that enlarges.
    """

    samples: ClassVar = Unpaired

    def __init__(
        self,
        generator: nn.Module,
        degrader: nn.Module,
        critic: nn.Module,
        degraded_critic: nn.Module,
        generator_optimizer: MakeOptimizer,
        critic_optimizer: MakeOptimizer,
        cycle: Cycle = "feature",
        head_features: bool = False,
        adversarial_weight: float = 1.0,
        feature_weight: float = 10.0,
        image_weight: float = 10.0,
        identity_weight: float = 10.0,
        critic_steps: int = 1,
        history: int = 50,
        use_masks: bool = True,
        collapse_share: float = 0.1,
        pretrain_epochs: int = 0,
        decay_from: float = 0.5,
        ema_decay: float | None = None,
        gradient_clip: float | None = None,
    ) -> None:
        super().__init__(generator, pretrain_epochs, decay_from, ema_decay, gradient_clip)
        _check(cycle, generator, critic, degraded_critic)
        self.degrader = degrader
        self.critic = critic
        self.degraded_critic = degraded_critic
        self.adversarial = LeastSquares()
        self.compares_features = cycle in ("feature", "both")
        self.compares_images = cycle in ("image", "both")
        self.head_features = head_features
        self.adversarial_weight = adversarial_weight
        self.feature_weight = feature_weight
        self.image_weight = image_weight
        self.identity_weight = identity_weight
        self.critic_steps = critic_steps
        self.use_masks = use_masks
        self.past_restored = HistoryPool(history)
        self.past_degraded = HistoryPool(history)
        if self.compares_features:
            layers = int(critic.layers) - (not head_features)  # type: ignore[arg-type]
            self.sharp_norms = FeatureNorms(layers, collapse_share)
            self.degraded_norms = FeatureNorms(layers, collapse_share)
        self._make_optimizers = (generator_optimizer, critic_optimizer)

    def configure_optimizers(self) -> Any:
        """One optimiser for both generators, one for both critics."""
        make_generator, make_critic = self._make_optimizers
        return [
            make_generator(chain(self.generator.parameters(), self.degrader.parameters())),
            make_critic(chain(self.critic.parameters(), self.degraded_critic.parameters())),
        ]

    def training_step(self, batch: Unpaired, batch_idx: int) -> None:
        """`critic_steps` updates of both critics, then one of both generators, all on the same images."""
        generator_optimizer, critic_optimizer = cast(list[Optimizer], self.optimizers())
        if not self.use_masks:
            batch = batch._replace(
                source_mask=torch.ones_like(batch.source_mask), reference_mask=torch.ones_like(batch.reference_mask)
            )
        if self.pretraining:
            with self.toggled_optimizer(generator_optimizer):
                self._step(generator_optimizer, self._warm_up_loss(batch), "generator")
            return
        restored = self._restore(batch.source, batch.source_mask)  # (N, C, H, W)
        degraded = self._degrade(batch.reference, batch.reference_mask)  # (N, C, H, W)

        with self.toggled_optimizer(critic_optimizer):
            past_restored = self._past("restored", self.past_restored, restored, batch.source_mask)
            past_degraded = self._past("degraded", self.past_degraded, degraded, batch.reference_mask)
            for _ in range(self.critic_steps):
                self._step(critic_optimizer, self._critic_loss(batch, past_restored, past_degraded), "critic")

        with self.toggled_optimizer(generator_optimizer):  # the critics' weights get no gradients here
            self._step(generator_optimizer, self._generator_loss(batch, restored, degraded), "generator")

    def on_train_epoch_end(self) -> None:
        """Warn where features have shrunk so far that their differences say nothing; then as every scheme."""
        if self.compares_features:
            for which, norms in (("sharp", self.sharp_norms), ("degraded", self.degraded_norms)):
                collapsed = ", ".join(f"layer {layer} to {share:.1%}" for layer, share in norms.end_epoch().items())
                if collapsed:
                    _log.warning(
                        "the features of the critic of %s images have collapsed to a share of the first epoch's "
                        "(%s), so that the feature cycle constrains little; type model.cycle=both",
                        which,
                        collapsed,
                    )
        super().on_train_epoch_end()

    # -- what the generators make ---------------------------------------------------------------------------------

    def _restore(self, images: Tensor, mask: Tensor) -> Tensor:
        """G inside the field of view, the image itself outside."""
        return torch.where(mask > 0.5, self.generator(images), images)

    def _degrade(self, images: Tensor, mask: Tensor) -> Tensor:
        """B inside the field of view, the image itself outside."""
        return torch.where(mask > 0.5, self.degrader(images), images)

    def _past(self, name: str, pool: HistoryPool, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Generated images for the critic, some of them from earlier steps, each with its mask.

        The pool sees the whole batch in the order of its samples and the numbers of the step, which all processes
        share, so that every process has the same one.
        """
        own = torch.cat([images.detach(), mask.to(images.dtype)], dim=1)  # (N, C + 1, H, W)
        everyone = cast(Tensor, self.all_gather(own)).reshape(-1, *own.shape[1:])
        numbers = generator_of(torch.initial_seed(), "history", name, self.trainer.global_step)  # see `StepSeed`
        shown = own_slice(pool.swap(everyone, numbers))
        return shown[:, :-1], shown[:, -1:]

    # -- losses ---------------------------------------------------------------------------------------------------

    def _critic_loss(self, batch: Unpaired, restored: tuple[Tensor, Tensor], degraded: tuple[Tensor, Tensor]) -> Tensor:
        """Both critics' least squares; real and generated images in passes of their own.

        A critic is shown the field of view that both images share: it would tell cameras by their shapes otherwise.
        """
        shared = batch.reference_mask * restored[1]
        sharp, sharp_apart = _judged(self._told_apart, self.critic, shared, batch.reference, restored[0])
        shared = batch.source_mask * degraded[1]
        veiled, degraded_apart = _judged(self._told_apart, self.degraded_critic, shared, batch.source, degraded[0])
        self._record("critic/sharp", sharp)
        self._record("critic/degraded", veiled)
        self._record("critic/distance_sharp", sharp_apart)
        self._record("critic/distance_degraded", degraded_apart)
        return sharp + veiled

    def _told_apart(self, real: Tensor, fake: Tensor) -> Tensor:
        """A critic's loss, and how far apart its scores are: both weigh what a process saw, `(2,)`."""
        return torch.stack([self.adversarial.critic(real, fake), (real.mean() - fake.mean()).detach()])

    def _generator_loss(self, batch: Unpaired, restored: Tensor, degraded: Tensor) -> Tensor:
        loss = self.adversarial_weight * self._adversarial_loss(batch, restored, degraded)
        if self.compares_features or self.compares_images:
            degraded_again = self._degrade(restored, batch.source_mask)  # B(G(x)), to be x
            sharp_again = self._restore(degraded, batch.reference_mask)  # G(B(y)), to be y
            if self.compares_features:
                loss = loss + self.feature_weight * self._feature_cycle_loss(batch, degraded_again, sharp_again)
            if self.compares_images:
                loss = loss + self.image_weight * self._image_cycle_loss(batch, degraded_again, sharp_again)
        if self.identity_weight:
            loss = loss + self.identity_weight * self._identity_loss(batch)
        self._record("generator/loss", loss)
        return loss

    def _adversarial_loss(self, batch: Unpaired, restored: Tensor, degraded: Tensor) -> Tensor:
        shared = batch.source_mask * batch.reference_mask
        sharp = _judged(self.adversarial.generator, self.critic, shared, restored)
        veiled = _judged(self.adversarial.generator, self.degraded_critic, shared, degraded)
        self._record("generator/adversarial", sharp + veiled)
        return sharp + veiled

    def _feature_cycle_loss(self, batch: Unpaired, degraded_again: Tensor, sharp_again: Tensor) -> Tensor:
        """S2's eq. 3: each critic compares the images of its own kind; the features of the real ones are fixed."""
        loss = self._feature_distance("degraded", degraded_again, batch.source, batch.source_mask)
        loss = loss + self._feature_distance("sharp", sharp_again, batch.reference, batch.reference_mask)
        self._record("generator/feature_cycle", loss)
        return loss

    def _feature_distance(
        self, which: Literal["sharp", "degraded"], again: Tensor, image: Tensor, mask: Tensor
    ) -> Tensor:
        critic: Any = self.critic if which == "sharp" else self.degraded_critic
        norms = self.sharp_norms if which == "sharp" else self.degraded_norms
        with torch.no_grad():
            targets = self._compared(critic.features(image * mask))
        features = self._compared(critic.features(again * mask))
        masks = [_shrunk(mask, layer) for layer in targets]
        for layer, norm in enumerate(norms.observe(targets, masks), start=1):
            self._record(f"features/{which}_{layer}", norm)
        distances = [l1(ours, theirs, seen) for ours, theirs, seen in zip(features, targets, masks, strict=True)]
        return torch.stack(distances).mean()

    def _compared(self, features: Sequence[Tensor]) -> list[Tensor]:
        return list(features if self.head_features else features[:-1])

    def _image_cycle_loss(self, batch: Unpaired, degraded_again: Tensor, sharp_again: Tensor) -> Tensor:
        """S2's eq. 2."""
        loss = l1(degraded_again, batch.source, batch.source_mask)
        loss = loss + l1(sharp_again, batch.reference, batch.reference_mask)
        self._record("generator/image_cycle", loss)
        return loss

    def _identity_loss(self, batch: Unpaired) -> Tensor:
        """S2's eq. 4: what is sharp already stays, what is degraded already too."""
        loss = l1(self.generator(batch.reference), batch.reference, batch.reference_mask)
        loss = loss + l1(self.degrader(batch.source), batch.source, batch.source_mask)
        self._record("generator/identity", loss)
        return loss

    def _warm_up_loss(self, batch: Unpaired) -> Tensor:
        """Both generators return what they are given, of either kind."""
        loss = self._identity_loss(batch)
        loss = loss + l1(self.generator(batch.source), batch.source, batch.source_mask)
        loss = loss + l1(self.degrader(batch.reference), batch.reference, batch.reference_mask)
        self._record("generator/loss", loss)
        return loss


def _judged(loss: Callable[..., Tensor], critic: nn.Module, mask: Tensor, *images: Tensor) -> Tensor:
    """The mean loss of the scores of patches centred in the field of view; of all where a batch shows none of it.

    Outside it the critic sees black: what a camera writes there would give its domain away, and no generator may
    change it. Of a batch that processes share, a process weighs by how many of the patches are its own.
    """
    # a pass for each; squares of half precision are coarse
    scores = [critic(some * mask) for some in images]
    scores = [some.to(torch.promote_types(some.dtype, torch.float32)) for some in scores]
    seen = _shrunk(mask, scores[0]) > 0.5
    own = seen.sum().to(scores[0].dtype)
    usual = batch_mean(own)
    if not bool(usual):
        return loss(*(some.flatten() for some in scores))
    shown = [some[seen] if bool(own) else some.flatten() for some in scores]
    return own / usual * loss(*shown)


def _shrunk(mask: Tensor, features: Tensor) -> Tensor:
    """`(N, 1, H, W)` at the size of a feature map: the share of each cell that counts."""
    height, width = features.shape[-2:]
    return F.adaptive_avg_pool2d(mask.float(), (height, width))


def _check(cycle: str, generator: nn.Module, *critics: nn.Module) -> None:
    if cycle not in get_args(Cycle):
        raise MedrestoreError(f"model.cycle={cycle!r} is not known; type one of {', '.join(get_args(Cycle))}")
    without = [type(critic).__name__ for critic in critics if not hasattr(critic, "features")]
    if without and cycle in ("feature", "both"):
        raise MedrestoreError(
            f"model.cycle={cycle} compares the critics' features, and {without[0]} has none; "
            "type model.critic._target_=medrestore.networks.FeatureCritic or model.cycle=image"
        )
    scale = getattr(generator, "scale", 1)
    if scale != 1:
        raise MedrestoreError(f"a cycle needs images of one size, found a generator that enlarges by {scale}")
