"""Figure: every method on one frame, whole particle and zoom on its surface."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from lowdose.data.frames import one_per_shape
from lowdose.report.inputs import Inputs
from lowdose.report.panels import draw_panels
from lowdose.report.style import titles

PER_ROW = 6


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a panel."""
    return draw_panels(
        one_per_shape(inputs.frame_set()), inputs.contested_image, spec["denoisers"],
        titles(spec), spec["reference_dose_e_per_px"], PER_ROW,
    )  # fmt: skip
