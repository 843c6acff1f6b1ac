"""Denoisers behind one contract: counts in, expected counts out."""
