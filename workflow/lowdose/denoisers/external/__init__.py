"""Denoisers of other projects, each run by a Python of its own: their needs are not ours."""
