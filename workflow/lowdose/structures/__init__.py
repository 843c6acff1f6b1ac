"""Atoms: oriented lattices, the support, particles, surface defects, the model library, the truth.

Lengths are in Å here.  The frame of reference is right-handed: x to the right in the image,
y up (away from the support), z along the beam.
"""
