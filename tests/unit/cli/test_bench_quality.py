"""``lowdose bench networks``: quality, border, orientations and shifts of known answers."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lowdose.cli import _bench_border, _bench_quality
from lowdose.cli._bench_border import border_losses, crops
from lowdose.evaluation.release_metrics import measured

DOSE = 0.45
SIDE = 200
SHAPES = [f"shape{i}" for i in range(8)]


def quality_of(denoise, frames):
    """What `measured` says, the raw counts at 3.5 dB: without noise they would be perfect."""
    return measured(denoise, frames, DOSE, 1, 1).assign(raw_psnr=3.5)


class Quiet:
    """Frames whose counts have no noise, so that a denoiser's error is what it adds."""

    pixel_size_nm, digest, dark_e_per_px = 0.0061, "0123456789abcdef", 0.0

    def __init__(self, **columns):
        self.table = pd.DataFrame({"base_shape": SHAPES, "defect": "D0", **columns})
        pattern = np.random.default_rng(1).normal(1, 0.1, (SIDE, SIDE + 40))
        self.clean = np.stack([pattern] * len(SHAPES)).astype(np.float32)
        at = [(0.30 * SIDE, 0.45 * SIDE), (0.60 * SIDE, 0.55 * SIDE)]
        self.columns = pd.DataFrame(
            [{"frame": f, "is_particle": True, "y_nm": y * 0.0061, "x_nm": x * 0.0061}
             for f in range(len(SHAPES)) for y, x in at]
        )  # fmt: skip

    def counts(self, frame, dose, realisation, seed):
        return self.clean[frame] * np.float32(dose)


def wrong_by(share):
    """A denoiser whose error is +- `share` of the vacuum, in a checkerboard."""

    def denoise(counts, dose):
        sign = np.indices(counts.shape).sum(axis=0) % 2 * 2 - 1
        return counts + sign * share * dose

    return denoise


def test_the_border_of_a_made_up_denoiser():
    ratio_db, outer_px = 3.0, _bench_border.BORDER_PX
    inner = 0.01
    outer = inner * 10 ** (ratio_db / 20)

    def denoise(counts, dose):
        share = np.full(counts.shape, inner)
        share[outer_px:-outer_px, outer_px:-outer_px] = 0
        share = np.where(share > 0, outer, inner)
        return counts + share * dose

    frames = Quiet()
    losses = border_losses(denoise, frames, DOSE, 1, side_px=96)
    assert len(losses) == 2 * len(SHAPES)
    assert losses["against_frame_db"].to_numpy() == pytest.approx(ratio_db, abs=1e-3)
    assert losses["against_interior_db"].to_numpy() == pytest.approx(ratio_db, abs=1e-3)
    above = [10 * np.log10(np.var(frames.clean[0][crop]) / inner**2)
             for crop in crops(frames, 0, 96)]  # fmt: skip
    assert losses["interior_db"][:2].to_numpy() == pytest.approx(above, abs=1e-3)


def test_an_error_that_is_everywhere_alike_is_no_loss_at_the_border():
    frames = Quiet()
    frames.clean = np.ones_like(frames.clean)
    frames.clean[:, ::2] = 1.2

    def denoise(counts, dose):
        return counts * 1.01

    losses = border_losses(denoise, frames, DOSE, 1, side_px=96)
    assert losses["against_frame_db"].to_numpy() == pytest.approx(0, abs=1e-6)
    assert losses["against_interior_db"].to_numpy() == pytest.approx(0, abs=0.01)


def test_crops_go_through_the_particle_and_keep_off_the_frames_border():
    frames = Quiet()
    (rows, left), (same_rows, right) = crops(frames, 0, 60)
    # The particle's middle is (0.45, 0.5) of 200 px.
    assert rows == same_rows == slice(64, 124)
    assert left.stop == 124  # 100, moved to keep 64 px on the left
    assert right.start == 100
    # Where the frame has less room, what there is is shared.
    (rows, left), (_, right) = crops(frames, 0, 150)
    assert rows == slice(25, 175)
    assert left == right == slice(45, 195)


def test_two_crops_end_and_begin_in_the_middle_of_the_particle():
    frames = Quiet()
    frames.clean = np.zeros((8, 713, 869), np.float32)
    frames.columns = pd.DataFrame(
        [{"frame": 0, "is_particle": True, "y_nm": 360 * 0.0061, "x_nm": 434 * 0.0061},
         {"frame": 0, "is_particle": False, "y_nm": 600 * 0.0061, "x_nm": 800 * 0.0061}]
    )  # fmt: skip
    (rows, left), (_, right) = crops(frames, 0)
    assert rows == slice(168, 552)
    assert left == slice(64, 448)  # ends at 448, with the margin kept: 14 px from the middle
    assert right == slice(421, 805)


def test_quality_of_a_known_error():
    frames = Quiet(contrast="white")
    rows = quality_of(wrong_by(0.02), frames).assign(set="white")
    found = _bench_quality.home_rows("white", rows, frames, 200, 1)
    psnr, above, _, constant, raw, away = found
    expected = -20 * np.log10(0.02 * DOSE)
    assert psnr.value == pytest.approx(expected, abs=1e-3)
    assert psnr.met is True  # 40.9 dB
    variance = np.var(frames.clean[0], dtype=np.float64)
    assert above.value == pytest.approx(10 * np.log10(variance / 0.02**2), abs=1e-3)
    assert above.low == pytest.approx(above.high, abs=1e-3)  # all shapes alike
    assert constant.value == pytest.approx(-10 * np.log10(variance * DOSE**2), abs=1e-3)
    assert raw.value == pytest.approx(3.5)
    assert away.value == pytest.approx(abs(constant.value - 26.2), abs=1e-6)
    assert "0123456789ab: 8 frames of 8 shapes, 8 realisations" in psnr.note


def test_general_is_held_to_ten_decibels_and_split_by_class():
    frames = Quiet(contrast=["white", "black"] * 4)
    rows = quality_of(wrong_by(0.02), frames).assign(set="all")
    found = _bench_quality.home_rows("general", rows, frames, 200, 1)
    assert [(r.target, r.met) for r in found if r.target is not None] == [(10.0, True)]
    classes = [r for r in found if "ones" in r.name]
    assert [r.name.split(", ")[2].split(":")[0] for r in classes] == ["black ones", "white ones"]
    assert "PSNR 40.92 dB, 4 frames" in classes[0].note


def shifted_rows():
    """PSNR 30 unshifted; `drift` loses 1 dB in every shape, `optics` 2 dB."""
    loss = {"none": 0.0, "drift": 1.0, "optics": 2.0}
    level = {shape: 30 + i for i, shape in enumerate(SHAPES)}
    return pd.DataFrame(
        [{"model_id": f"{shape}-m", "base_shape": shape, "c1_nm": 8.0, "realisation": k,
          "shift": shift, "psnr": level[shape] + k - loss[shift],
          "contrast_psnr": 5 + level[shape] - 2 * loss[shift]}
         for shift, shape, k in itertools.product(loss, SHAPES, range(2))]
    )  # fmt: skip


def test_losses_are_those_of_twins():
    losses = _bench_quality.shift_losses(shifted_rows())
    assert len(losses) == 2 * 2 * len(SHAPES)
    by_shift = losses.groupby("shift")[["loss_db", "contrast_loss_db"]]
    assert by_shift.mean().loc["drift"].to_list() == pytest.approx([1, 2])
    assert by_shift.mean().loc["optics"].to_list() == pytest.approx([2, 4])
    assert by_shift.std().to_numpy() == pytest.approx(np.zeros((2, 2)), abs=1e-9)


def test_each_shift_and_their_mean_have_a_verdict():
    frames = SimpleNamespace(digest="f" * 64)
    mean, contrast, *single = _bench_quality.shift_rows("general", shifted_rows(), frames, 200, 1)
    assert (mean.value, mean.met) == (pytest.approx(1.5), True)
    # What PSNR forgives, since the image is weaker, contrast PSNR does not.
    assert (contrast.value, contrast.met) == (pytest.approx(3.0), False)
    assert mean.note == "unshifted 34.00 dB, 38.50 above a constant; ffffffffffff"
    assert [(row.name.split(", ")[2], row.met, row.note) for row in single] == [
        ("drift: loss of PSNR", True, "of contrast PSNR 2.00 [2.00, 2.00]"),
        ("optics: loss of PSNR", False, "of contrast PSNR 4.00 [4.00, 4.00]"),
    ]


def test_the_gain_of_orientations():
    frames = Quiet()
    gains = _bench_quality.orientation_gains(wrong_by(0.02), wrong_by(0.01), frames, DOSE, 1)
    assert list(gains["base_shape"]) == SHAPES
    assert gains["gain_db"].to_numpy() == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_border_lines_take_their_intervals_over_shapes():
    losses = pd.DataFrame({"base_shape": SHAPES * 2, "against_interior_db": 0.5,
                           "against_frame_db": np.repeat([0.2, 0.4], 8)})  # fmt: skip
    interior, frame = _bench_quality.border_rows("white", losses, 8, 200, 1)
    assert (interior.value, interior.met) == (0.5, True)
    assert "0.20 dB of it are what lies there" in interior.note
    assert frame.value == pytest.approx(0.3)
    assert frame.low == pytest.approx(0.3)  # each shape has both values
    assert frame.target is None


def test_the_siblings_line_has_the_target_of_the_papers_split():
    frames = Quiet(contrast="white")
    rows = quality_of(wrong_by(0.02), frames)
    row = _bench_quality.sibling_row("white", rows, frames, 200, 1)
    assert row.value == pytest.approx(-20 * np.log10(0.02 * DOSE), abs=1e-3)
    assert (row.target, row.met) == (38.6, True)


def test_a_part_of_the_frames_keeps_what_belongs_to_each():
    from lowdose.data.frames import FrameSet

    table = pd.DataFrame({"frame": range(4), "model_id": list("abcd")})
    columns = pd.DataFrame({"frame": [0, 1, 3, 3], "x_nm": [0.0, 1.0, 3.0, 3.5]})
    clean = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    found = _bench_quality.part(
        FrameSet(table, clean, columns, 0.0061, "digest"), np.array([False, True, False, True])
    )
    assert list(found.table["model_id"]) == ["b", "d"]
    assert found.clean[:, 0, 0].tolist() == [1, 3]
    assert found.columns[["frame", "x_nm"]].to_numpy().tolist() == [[0, 1.0], [1, 3.0], [1, 3.5]]
