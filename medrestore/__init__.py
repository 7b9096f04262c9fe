"""Adversarial restoration of medical images: train a scheme, judge it honestly, restore new images."""

__version__ = "0.1.0"
