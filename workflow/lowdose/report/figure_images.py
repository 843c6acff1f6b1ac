"""Figure: clean, noisy and every denoiser side by side, whole particle and zoom."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from lowdose.report.inputs import Inputs
from lowdose.report.panels import draw_panels
from lowdose.report.style import titles_without_seeds
from lowdose.sweeps import first_of_each

PER_ROW, MOST_PER_ROW = 5, 7


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a panel."""
    names = [*spec["baselines"], *first_of_each(spec["networks"]), *spec["shipped"]]
    shown = [name for name in ("clean", "raw") if name in spec["denoisers"]] + names
    # Two rows, the grey scale a panel of them; more rows where panels would be too small.
    per_row = min(max(PER_ROW, math.ceil((len(shown) + 1) / 2)), MOST_PER_ROW)
    dose = spec["reference_dose_e_per_px"]
    known = titles_without_seeds(spec, shown)
    return draw_panels(inputs.frame_set(), inputs.image, shown, known, dose, per_row)
