"""Denoisers that are not trained: one module a method."""
