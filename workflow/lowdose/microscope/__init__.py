"""Microscope files in and out, with their calibration."""
