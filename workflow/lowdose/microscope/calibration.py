"""What the axes and the metadata of a microscope file say, in nm, s, kV and electrons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from lowdose.microscope.calibrated_tiff import NM_PER_UNIT

LENGTHS_NM = {
    **NM_PER_UNIT, "m": 1e9, "cm": 1e7, "mm": 1e6, "micrometer": 1e3, "nanometer": 1.0,
    "picometer": 1e-3, "ångström": 0.1, "angstroms": 0.1,
}  # fmt: skip
SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9,
           "min": 60.0}  # fmt: skip
# Where the vendors' own trees keep what RosettaSciIO's common tree may lack: (last keys, factor).
ENERGY_KEV = ((("TEM", "beam_energy"), 1.0), (("Microscope Info", "Voltage"), 1e-3),
              (("Optics", "AccelerationVoltage"), 1e-3))  # fmt: skip
EXPOSURE_S = (
    (("Camera", "exposure"), 1.0),
    (("Acquisition", "Parameters", "High Level", "Exposure (s)"), 1.0),
    (("DataBar", "Exposure Time (s)"), 1.0),
    (("BinaryResult", "ExposureTime"), 1.0),
)
ANISOTROPY_SILENT, ANISOTROPY_WARNED = 0.005, 0.05


def length_nm(scale: float, units: object) -> float | None:
    """Return a length in nm, None if the unit is none of length or the scale is no number.

    Parameters
    ----------
    scale : float
    units : str or None
        As files spell it; also NCEM's ``[n_m]``.
    """
    text = _unit(units)
    factor = LENGTHS_NM.get(text, LENGTHS_NM.get(text.lower()))
    try:
        scale = float(scale)
    except (TypeError, ValueError):
        return None
    if factor is None or not math.isfinite(scale) or scale == 0:
        return None
    return scale * factor


def seconds(scale: float, units: object) -> float | None:
    """Return a time in s, None if the unit is none of time or the scale is not positive."""
    factor = SECONDS.get(_unit(units))
    return float(scale) * factor if factor is not None and scale and float(scale) > 0 else None


def is_reciprocal(units: object) -> bool:
    """Whether a unit is one of reciprocal length, as of a diffraction pattern, or an angle."""
    text = _unit(units)
    return text.startswith("1/") or text.endswith(("^-1", "-1", "⁻¹")) or text in ("mrad", "rad")


def first_number(trees: Sequence[Mapping], places) -> float | None:
    """Return the first positive number at one of some places of nested trees.

    Parameters
    ----------
    trees : sequence of mapping
        The common tree, then the vendor's.
    places : sequence of (tuple of str, float)
        Last keys of the way to the number, and the factor to the unit wanted.
    """
    for keys, factor in places:
        for tree in trees:
            for value in _ending_with(tree, keys):
                try:
                    number = float(value) * factor
                except (TypeError, ValueError):
                    continue
                if math.isfinite(number) and number > 0:
                    return number
    return None


def _ending_with(tree: Mapping, keys: tuple[str, ...], way: tuple[str, ...] = ()) -> Iterator:
    for key, value in tree.items():
        here = (*way, str(key))
        if isinstance(value, Mapping):
            if len(here) < 40:  # a damaged tree may be deep
                yield from _ending_with(value, keys, here)
        elif here[-len(keys) :] == keys:
            yield value


def _unit(units: object) -> str:
    if isinstance(units, bytes):
        units = units.decode("utf-8", "replace")
    text = str(units or "").strip().strip("[]").replace("_", "")
    # The Greek letter and Fiji's escape are the micro sign as well.
    return text.replace("\u03bc", "µ").replace("\\u00B5", "µ").replace("\u212b", "Å")
