"""Plain torch networks: generators, the critic, the feature extractor. They know nothing of training."""

from medrestore.networks.critics import PatchCritic
from medrestore.networks.nafnet import NAFNet
from medrestore.networks.plain import PlainResidual
from medrestore.networks.resnet import ResnetGenerator
from medrestore.networks.unet import UNet
from medrestore.networks.vgg import VGG19Features

__all__ = ["NAFNet", "PatchCritic", "PlainResidual", "ResnetGenerator", "UNet", "VGG19Features"]
