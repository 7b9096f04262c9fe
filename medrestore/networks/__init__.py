"""Plain torch networks: generators, critics, the feature extractor. They know nothing of training."""

from medrestore.networks.critics import FeatureCritic, PatchCritic
from medrestore.networks.local_gain import LocalGain
from medrestore.networks.nafnet import NAFNet
from medrestore.networks.plain import PlainResidual
from medrestore.networks.resnet import ResnetGenerator
from medrestore.networks.rrdb import RRDBNet
from medrestore.networks.srgan_critic import SRGANCritic
from medrestore.networks.srresnet import SRResNet
from medrestore.networks.unet import UNet
from medrestore.networks.vgg import VGG19Features

__all__ = [
    "FeatureCritic",
    "LocalGain",
    "NAFNet",
    "PatchCritic",
    "PlainResidual",
    "RRDBNet",
    "ResnetGenerator",
    "SRGANCritic",
    "SRResNet",
    "UNet",
    "VGG19Features",
]
