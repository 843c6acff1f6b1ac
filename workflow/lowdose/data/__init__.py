"""Splits, contrast classes, frozen frames for evaluation, crops on the fly for training."""
