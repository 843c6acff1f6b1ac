"""Columns in an image: detection, surface, matching, likelihood ratio.

Usable alone: NumPy, SciPy, scikit-image and pandas are all it needs.  Positions are in nm with
``x_nm = column index * pixel_size_nm`` and ``y_nm = row index * pixel_size_nm`` (a pixel's
centre is its integer index), y downwards.
"""
