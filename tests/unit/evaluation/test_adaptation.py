"""Frames that leave the training set: what they are, what is measured, and how sure it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from lowdose.config import load as load_config
from lowdose.denoisers.adaptation.gain_tuning import GainTuned
from lowdose.denoisers.checkpoints import load, save
from lowdose.denoisers.networks.build import build
from lowdose.evaluation import adaptation
from lowdose.evaluation.adaptation import (
    Case,
    Pair,
    adapted,
    cases,
    chosen,
    cropped,
    frame_table,
    material_frames,
    share_interval,
    table_of,
)
from lowdose.imaging.camera import draw_counts
from lowdose.metrics import psnr
from lowdose.runtime import UserError
from lowdose.sampling import dose_e_per_a2
from lowdose.seeds import rng

PIXEL_NM, DOSE = 0.0061, 2.0
SPEC = {"crop_px": 100, "frames": 3, "dose_e_per_px": 0.45, "seed": 7, "steps": 20}


def scene(contrast: float = 0.8, side: int = 160) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    waves = np.cos(2 * np.pi * y / 32) * np.cos(2 * np.pi * x / 40)
    return (1 + contrast * waves).astype(np.float32)


def a_case(clean: np.ndarray, name: str = "waves", frame: str = "a", pixel: float = PIXEL_NM):
    return Case(name, "shape", frame, clean, pixel, DOSE)


@pytest.fixture(scope="module")
def smoother(tmp_path_factory):
    """Strength -> a network that smooths what differs from the vacuum, times the strength."""

    def made(strength: float) -> Pair:
        spec = {"architecture": "dncnn", "layers": 2, "channels": 2}
        network = build(spec, 0)
        first, last = (m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
        with torch.no_grad():  # a rectifier passes either the rise or the fall
            first.weight[0], first.weight[1] = 1 / 9, -1 / 9
            last.weight[0, 0], last.weight[0, 1] = strength / 9, -strength / 9
        folder = tmp_path_factory.mktemp("smoother")
        card = {"name": "smoother", "architecture": network.spec.model_dump(),
                "receptive_field_px": 5, "pixel_size_nm": [0.006, 0.0062],
                "dose_e_per_a2": [10.0, 1e4], "own_pixel_size_nm": PIXEL_NM}  # fmt: skip
        save(folder, network, card)
        return Pair(load(folder, bf16=False), GainTuned(folder=folder, bf16=False, steps=20))

    return made


def by_case(found: list[Case]) -> dict[str, list[Case]]:
    return {name: [c for c in found if c.case == name] for name in dict.fromkeys(
        c.case for c in found)}  # fmt: skip


def test_each_case_changes_what_it_says(particle):
    frames = particle.frame_set("a", "b", "c")
    found = by_case(list(cases(frames, None, None, SPEC)))
    home = found["in distribution"]
    assert [c.base_shape for c in home] == ["a", "b", "c"]
    assert len({c.frame.split("-")[1] for c in home}) == 2  # with the vacancy and without
    assert {len(own) for own in found.values()} == {3}
    for name, slope in (("contrast x 2", 2), ("contrast x 0.5", 0.5), ("inverted contrast", -1)):
        for ours, plain in zip(found[name], home, strict=True):
            np.testing.assert_allclose(ours.clean - 1, slope * (plain.clean - 1), atol=1e-6)
            assert ours.dose_e_per_px == 0.45 and ours.frame == plain.frame
    for name, dose in (("dose x 40", 18), ("dose / 4", 0.1125)):
        assert all(np.array_equal(c.clean, h.clean) for c, h in zip(found[name], home, strict=True))
        assert {c.dose_e_per_px for c in found[name]} == {dose}
    assert all((c.clean == 1).all() for c in found["vacuum only"])
    assert len({c.base_shape for c in found["vacuum only"]}) == 3


def test_coarser_pixels_gather_the_same_electrons_and_see_the_same_field(particle):
    frames = particle.frame_set("a")
    found = by_case(list(cases(frames, None, None, {**SPEC, "crop_px": 140})))
    home = found["in distribution"][0]
    told, untold = found["pixel x 1.4"][0], found["pixel x 1.4, not told"][0]
    assert told.pixel_size_nm == pytest.approx(1.4 * untold.pixel_size_nm)
    assert untold.pixel_size_nm == home.pixel_size_nm == particle.pixel_nm
    assert told.clean.shape == (100, 100) and np.array_equal(told.clean, untold.clean)
    # Electrons of the field, and where its middle of contrast is.
    electrons = [c.dose_e_per_px * c.clean.sum(dtype=float) for c in (home, told)]
    assert electrons[1] == pytest.approx(electrons[0], rel=2e-3)
    for axis in (0, 1):
        middles = []
        for one, pixel in ((home, 1.0), (told, 1.4)):
            profile = (one.clean - 1).sum(axis=axis, dtype=float)
            middles.append(pixel * np.sum(profile * np.arange(len(profile))) / profile.sum())
        assert middles[1] == pytest.approx(middles[0], abs=1.0)


def test_what_a_stopped_run_has_reached_is_a_smaller_study(particle):
    frames = particle.frame_set("a", "b", "c")
    shifted = particle.frame_set("a", "b")
    shifted.table["shift"] = ["none", "optics", "none", "optics"]
    material = particle.frame_set("gold")
    whole = list(cases(frames, shifted, material, SPEC))
    first = list(cases(frames, shifted, material, {**SPEC, "frames": 1}))
    for one, other in zip(first, whole[: len(first)], strict=True):
        assert one[:3] == other[:3] and np.array_equal(one.clean, other.clean)
    assert {c.case for c in first} == {c.case for c in whole} > {"none", "optics", "Au on TiO2"}
    counted = {name: len(own) for name, own in by_case(whole).items()}
    assert counted["optics"] == 2 and counted["Au on TiO2"] == 2 and counted["vacuum only"] == 3


def test_crops_hold_the_particle_and_stay_within_the_frame():
    image = np.arange(60.0).reshape(6, 10)
    assert np.array_equal(cropped(image, np.array([3.0, 5.0]), 4), image[1:5, 3:7])
    assert np.array_equal(cropped(image, np.array([0.0, 9.5]), 4), image[:4, 6:])
    assert np.array_equal(cropped(image, np.array([3.0, 5.0]), 8), image[:, 1:9])


def test_every_shape_is_met_before_any_is_met_twice():
    shapes = ["a", "a", "a", "b", "b", "c"]
    assert chosen(shapes, 3) == [0, 4, 5]
    assert sorted(chosen(shapes, 99)) == list(range(6)) and chosen([], 3) == []


def test_gold_on_rutile_is_simulated_with_its_truth():
    world = load_config(["config/au-tio2.yaml"]).model_dump(mode="json")
    world["simulation"] |= {"grid": 256, "slice_thickness_nm": 0.2}
    frames = material_frames({**world, "c1_nm": 8.0}, 1)
    assert set(frames.columns["element"]) == {"Au", "Ti"}
    gold = frames.columns[frames.columns["is_particle"] & (frames.columns["n_atoms"] > 0)]
    assert set(gold["element"]) == {"Au"}
    above = round(0.5 * gold["y_nm"].min() / frames.pixel_size_nm)
    assert frames.clean[0][:above].mean() == pytest.approx(1, abs=0.03)
    # Columns stand out where the truth has them, and not half a spacing beside them.
    rows, columns = (
        np.rint(gold[key] / frames.pixel_size_nm).astype(int) for key in ("y_nm", "x_nm")
    )
    at = frames.clean[0][rows, columns].mean()
    beside = frames.clean[0][rows, columns + round(0.144 / frames.pixel_size_nm)].mean()
    assert abs(at - beside) > 0.05
    with pytest.raises(UserError, match=r"21 frames of another material .* has 20"):
        material_frames({**world, "c1_nm": 8.0}, 21)


def test_a_row_holds_both_errors_of_the_same_counts(smoother):
    networks, clean = smoother(0.5), scene()
    row = adapted(a_case(clean), networks, SPEC)
    assert row["steps"] > 0 and row["gain_db"] > 0.5  # at half strength it is too weak
    # By a second route: the counts drawn again, both networks applied by hand.
    counts = draw_counts(clean * np.float32(DOSE), rng(7, "adaptation", "waves", "a"))
    for key, denoiser in (("before_db", networks.plain), ("after_db", networks.tuned)):
        estimate = denoiser.denoise(counts[None], PIXEL_NM, dose=dose_e_per_a2(DOSE, PIXEL_NM))[0]
        assert row[key] == pytest.approx(psnr(DOSE * clean, estimate, dose_e_per_px=DOSE), abs=1e-6)
    assert row["gain_db"] == row["after_db"] - row["before_db"] and row["seconds"] > 0
    assert adapted(a_case(clean), networks, SPEC)["gain_db"] == row["gain_db"]
    assert adapted(a_case(clean, frame="b"), networks, SPEC)["before_db"] != row["before_db"]


def test_where_nothing_can_be_gained_the_network_is_left_alone(smoother):
    """A network that always says "vacuum" is right in vacuum, whatever its gains are."""
    row = adapted(a_case(np.ones((160, 160), np.float32)), smoother(0.0), SPEC)
    assert row["steps"] == 0 and row["gain_db"] == 0


def test_a_network_is_not_asked_about_pixels_that_it_was_not_made_for(smoother):
    networks = {"one": smoother(0.5), "two": smoother(0.9)}
    coarse, fine = a_case(scene(), "coarse", pixel=0.0085), a_case(scene(), "fine")
    rows = list(frame_table([coarse, fine], networks, SPEC))
    assert [(r["network"], r["case"]) for r in rows] == [("one", "fine"), ("two", "fine")]
    assert rows[0]["gain_db"] > rows[1]["gain_db"]  # the more that was wrong


def rows_of(gains: dict[str, list[float]], shapes: str = "abcd") -> pd.DataFrame:
    """Return rows of a network; a gain of exactly 0 is one that was left alone."""
    return pd.DataFrame([
        {"network": "white", "case": case, "base_shape": shapes[k % len(shapes)],
         "gain_db": gain, "steps": 5 * (gain != 0), "before_db": 30.0,
         "after_db": 30.0 + gain, "seconds": 2.0}
        for case, own in gains.items() for k, gain in enumerate(own)
    ])  # fmt: skip


def test_the_table_by_hand():
    gains = {"in distribution": [0.1, 0.0, 0.0, -0.06], "drift": [1.0, 2.0, 3.0, 2.0]}
    table = table_of(rows_of(gains), 200, np.random.default_rng(0)).set_index("case")
    assert list(table.index) == list(gains)
    home, drift = table.loc["in distribution"], table.loc["drift"]
    assert (home["gain_db"], drift["gain_db"]) == pytest.approx((0.01, 2.0))
    assert (home["improved"], home["left_alone"], home["worse"]) == (0.25, 0.5, 0.25)
    assert (drift["improved"], drift["left_alone"], drift["worse"]) == (1, 0, 0)
    # Four shapes with a frame each: Student's t on their mean.
    error = stats.t.ppf(0.975, 3) * np.std(gains["drift"], ddof=1) / 2
    assert (drift["gain_low"], drift["gain_high"]) == pytest.approx((2 - error, 2 + error))
    assert drift["after_db"] == 32 and drift["seconds"] == 2 and drift["n_units"] == 4
    assert (drift["improved_low"], drift["improved_high"]) == pytest.approx((0.025**0.25, 1))


def test_frames_of_a_shape_are_no_more_evidence_than_the_shape():
    once = table_of(rows_of({"drift": [1, -1, 2, 3]}), 50, np.random.default_rng(0)).iloc[0]
    twice = table_of(rows_of({"drift": [1, -1, 2, 3] * 2}), 50, np.random.default_rng(0)).iloc[0]
    for key in ("gain_low", "gain_high", "improved_low", "improved_high"):
        assert twice[key] == pytest.approx(once[key])
    assert (twice["n_frames"], twice["n_units"]) == (8, 4)


@pytest.mark.parametrize("n", [1, 4, 8])
def test_the_interval_of_a_share_holds_the_truth(n):
    """Coverage in closed form: over all outcomes, at every share."""
    limits = [share_interval(k / n, n) for k in range(n + 1)]
    for truth in np.linspace(0.01, 0.99, 99):
        held = [low <= truth <= high for low, high in limits]
        assert np.sum(stats.binom.pmf(np.arange(n + 1), n, truth) * held) >= 0.95
    for k, interval in enumerate(limits):
        exact = stats.binomtest(k, n).proportion_ci(method="exact")
        assert interval == pytest.approx((exact.low, exact.high))


def test_a_shipped_network_comes_as_a_pair():
    networks = adaptation.pair("white", 3)
    assert networks.tuned.parameters["steps"] == 3
    own = networks.tuned.network.state_dict()
    assert all(torch.equal(v, own[k]) for k, v in networks.plain.network.state_dict().items())
