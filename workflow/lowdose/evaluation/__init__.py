"""Evaluation: surface statistics, receptive field, mechanism, limits, statistics."""
