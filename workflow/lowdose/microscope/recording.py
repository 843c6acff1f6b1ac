"""A recording: the frames of one microscope file with all that is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Recording:
    """Frames and their calibration.

    Attributes
    ----------
    frames : array (frame, y, x)
        As stored: any integer or real type, in the camera's units.
    pixel_size_nm : (float, float) or None
        Pixel size along y and x [nm], None if the file does not say.
    is_stack : bool
        Whether the file holds a stack; of a single image `frames` has one frame.
    frame_interval_s, exposure_s : float or None
        From frame to frame, and of a frame [s].
    energy_kev : float or None
        Beam energy [keV].
    electrons_per_unit : float or None
        Electrons of one stored unit, only where the file itself says electrons.
    offset : float
        Stored value of no electrons, where the file says.
    title, format, path
        Of the signal; key of :data:`lowdose.microscope.formats.PLUGINS`; where it was read.
    metadata, original_metadata : dict
        RosettaSciIO's common tree, and the vendor's own.
    notes : tuple of str
        What was assumed or looks odd, a sentence each.
    """

    frames: np.ndarray
    pixel_size_nm: tuple[float, float] | None
    is_stack: bool
    path: Path
    format: str
    title: str = ""
    frame_interval_s: float | None = None
    exposure_s: float | None = None
    energy_kev: float | None = None
    electrons_per_unit: float | None = None
    offset: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)
    original_metadata: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def stated(self) -> list[tuple[str, str]]:
        """Return name and value of what the file says of beam and time, for a reader."""
        known = {
            "beam energy": (self.energy_kev, "kV"),
            "exposure": (self.exposure_s, "s a frame"),
            "frame interval": (self.frame_interval_s, "s"),
        }
        return [(name, f"{value:.6g} {unit}") for name, (value, unit) in known.items()
                if value is not None]  # fmt: skip

    def noted(self, *notes: str, **changes: Any) -> Recording:
        """Return this recording with changes, and sentences that say what they are."""
        return replace(self, **changes, notes=(*self.notes, *notes))
