"""How each kind of item is compared, and why a difference of so much is none."""

from __future__ import annotations

from typing import NamedTuple

# Kind -> the columns that say which item a row is.
KEYS = {
    "settings": ("stage", "setting"),
    "models": ("model_id",),
    "columns": ("model_id", "element", "column"),
    "pairs": ("pair", "kind", "element", "column"),
    "waves": ("model_id",),
    "frames": ("split", "model_id", "number"),
    "classes": ("model_id", "c1_nm"),
    "networks": ("denoiser",),
    "scores": ("denoiser", "dose_e_per_px", "base_shape"),
    "tables/results": ("denoiser", "dose_e_per_px"),
    "tables/comparisons": ("measure", "denoiser"),
    "tables/credibility": ("denoiser", "kind", "dose_e_per_px"),
    "tables/contrasts": ("question", "measure", "reference", "denoiser"),
    "tables/doses_needed": ("denoiser",),
    "tables/localisation": ("denoiser", "dose_e_per_px"),
    "tables/risk": ("denoiser", "frame"),
    "tables/strata": ("denoiser", "factor", "level"),
    "tables/verdicts": ("denoiser", "test", "level"),
    "tables/classes": ("by", "value"),
    "tables/methods": ("denoiser", "tuned_for", "dose_e_per_px"),
    "tables/field": ("network", "training_set", "long"),
    "tables/field_law": ("network", "training_set", "long"),
    "tables/field_law_fit": ("measure", "against"),
    "tables/geometry": ("trained_on", "tested_on"),
    "tables/movies": ("method", "dose_e_per_px"),
    "tables/positions": ("columns", "method", "dose_e_per_px"),
    "tables/atom_counts": ("columns", "averaging", "dose_e_per_px"),
    "tables/dynamics": ("dose_e_per_px", "summed", "realisation", "templates", "step"),
    "tables/adaptation": ("network", "case"),
    "tables/natural_images": ("case",),
}
WITH_INTERVALS = {kind for kind in KEYS if kind.startswith("tables/")} - {"tables/classes"}
# Tables that are compared as those of trained networks, whatever their rows are called: of a whole
# study's networks at once, or over so few particles that one column decides.
OF_TRAINED = ("tables/strata", "tables/comparisons", "tables/contrasts", "tables/field",
              "tables/field_law", "tables/field_law_fit", "tables/geometry", "tables/movies",
              "tables/positions", "tables/atom_counts", "tables/dynamics", "tables/adaptation",
              "tables/natural_images")  # fmt: skip
# Values whose limits are called `low` and `high`.
HAVE_LOW_AND_HIGH = ("difference", "rate", "r_squared", "dose_e_per_px")


class Tolerance(NamedTuple):
    """How far two numbers may be apart.

    Attributes
    ----------
    absolute, relative : float
        The larger of `absolute` and `relative` times the larger number.
    """

    absolute: float
    relative: float


# Structures and settings follow from the configuration exactly, positions [nm] to rounding.
EXACT = Tolerance(0.0, 1e-9)
POSITIONS = Tolerance(1e-6, 0.0)
# Root mean square, vacuum = 1: between one and two threads, and between processors, FFTs in single
# precision sum in another order.
IMAGES = Tolerance(1e-4, 0.0)
# The seeds are the same; a draw flips where an expectation moves in its last digits.
ELECTRONS = Tolerance(1.0, 1e-4)
# Follows from the images.
CONTRAST = Tolerance(1e-3, 0.0)
# The same denoiser on the same counts: another processor computes a network with other roundings
# (bfloat16 where it has it).
UNTRAINED = Tolerance(5e-3, 5e-3)
# Detection and matching decide by thresholds: two of the sixty columns of a shape may flip.
FLIPPED = Tolerance(0.03, 0.0)
# Of the width of a 95 % interval: by how much a rate of few columns moves when one flips.
FLIPPED_SHARE = 0.25

# Standard deviation of the mean score over training seeds, pooled over pairs of seeds of three
# networks of config/study.yaml at 0.45 e/pixel (narrow 0 and 2, medium 1 and 2, wide 0 and 1:
# 0.39, 0.08, 0.30 dB apart; F1 0.088, 0.029, 0.014).  Taken where a reference has one seed.
SEED_SD = {"psnr": 0.20, "contrast_psnr": 0.20, "ssim": 0.0012, "f1": 0.039}
# Farther apart than two trainings of one network ever are.  Over few base shapes the scatter of
# their differences excuses anything, even a network that shows a constant image.  Of the published
# networks with several seeds, two are at most 1.2 dB, 0.009 of SSIM and 0.09 of F1 apart.
FARTHEST = {"psnr": 2.0, "contrast_psnr": 2.0, "ssim": 0.03, "f1": 0.3}
SCORES = {"psnr": "PSNR [dB]", "contrast_psnr": "contrast PSNR [dB]", "ssim": "SSIM", "f1": "F1"}


def tolerance_of(kind: str, column: str) -> Tolerance:
    """Return how numbers of a column of a kind of item are compared."""
    if kind == "columns" and column in ("x_nm", "y_nm"):
        return POSITIONS
    if kind == "classes" and column in ("mean_contrast", "white_share"):
        return CONTRAST
    if kind == "tables/classes":
        return CONTRAST
    if kind == "scores":
        return FLIPPED if column == "f1" else UNTRAINED
    return EXACT


def is_trained(denoiser: str) -> bool:
    """Return whether a denoiser was trained by the study: NETWORK.TRAINING_SET.seedN."""
    return ".seed" in denoiser
