"""Catalogue, splits, training crops, loaders, phantoms."""
