"""Denoisers that learn from the noisy frames themselves."""
