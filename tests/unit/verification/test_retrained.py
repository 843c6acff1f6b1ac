"""A network that was trained again is as good as the published one, or it is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lowdose.verification.retrained import retrained_scores, seed_sd

QUICK = Path(__file__).resolve().parents[3] / "results" / "reference" / "quick" / "verify"
SHAPES = [f"PtNp{k}a" for k in range(1, 9)]


def scores(rng, *, seeds=3, offset=0.0, between_seeds=0.2, doses=(0.2, 0.45, 2.0)):
    """Return scores of two networks: shapes differ by decibels, seeds by tenths."""
    rows = []
    shapes = dict(zip(SHAPES, np.linspace(-2, 2, len(SHAPES)), strict=True))
    for network in ("wide.white", "narrow.white"):
        for seed in range(seeds):
            for dose in doses:
                level = 33 + offset + between_seeds * rng.normal()
                for shape, own in shapes.items():
                    psnr = level + own + 0.1 * rng.normal()
                    rows.append({
                        "denoiser": f"{network}.seed{seed}", "dose_e_per_px": dose,
                        "base_shape": shape, "psnr": psnr, "contrast_psnr": psnr - 25,
                        "ssim": 0.95, "f1": 0.9,
                    })  # fmt: skip
    return pd.DataFrame(rows)


def test_only_five_in_a_hundred_reruns_are_called_different_by_chance():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(200):
        items = list(retrained_scores(scores(rng), scores(rng)))
        assert len(items) == 2 * 3 * 4
        found += any(item.verdict == "differs" for item in items)
    assert found <= 20  # 10 expected at most; the chance of more than 20 is 0.1 %


def test_a_decibel_and_a_half_is_found_and_named():
    """Between shapes lie four decibels; paired by shape, that does not hide one and a half."""
    rng = np.random.default_rng(2)
    items = list(retrained_scores(scores(rng), scores(rng, offset=-1.5)))
    unlike = [item for item in items if item.verdict == "differs"]
    assert len(unlike) >= 10
    assert unlike[0].item == "narrow.white at 0.2 e/pixel, PSNR [dB]"
    assert unlike[0].detail.startswith("PSNR [dB] 33") and "by shapes and seeds" in unlike[0].detail
    assert not any("SSIM" in item.item for item in unlike)


def test_the_spread_over_seeds_is_measured_where_there_are_several():
    rng = np.random.default_rng(3)
    found = [seed_sd(network_of(scores(rng, between_seeds=0.5)), "psnr") for _ in range(100)]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(0.5, rel=0.1)
    assert seed_sd(network_of(scores(rng, seeds=1)), "psnr") == 0.20


def network_of(table):
    parts = table["denoiser"].str.rsplit(".seed", n=1)
    return table.assign(network=parts.str[0], seed=parts.str[1])


def test_other_shapes_and_missing_networks_are_said():
    rng = np.random.default_rng(4)
    was = scores(rng)
    now = was[(was["base_shape"] != "PtNp1a") & ~was["denoiser"].str.startswith("narrow")]
    items = list(retrained_scores(was, now))
    verdicts = {item.item.split()[0]: item.verdict for item in items}
    assert verdicts == {"narrow.white": "missing", "wide.white": "differs"}
    assert {i.detail for i in items if i.verdict == "differs"} == {
        "the base shapes are others, or without a number"
    }


def test_a_network_that_learned_nothing_is_found_over_four_shapes():
    """The published quick study, with the scores of a constant image for those of a network."""
    was = pd.read_parquet(QUICK / "scores.parquet")
    networks = sorted(name for name in was["denoiser"].unique() if ".seed" in name)
    assert len(networks) == 3 and was["base_shape"].nunique() == 4
    constant = was[was["denoiser"] == "constant"]
    for network in networks:
        others = was[was["denoiser"] != network]
        now = pd.concat([others, constant.assign(denoiser=network)])
        unlike = [item for item in retrained_scores(was, now) if item.verdict == "differs"]
        name = network.removesuffix(".seed0")
        assert {item.item.split(" at ")[0] for item in unlike} == {name}
        assert f"{name} at 0.45 e/pixel, PSNR [dB]" in {item.item for item in unlike}


@pytest.mark.parametrize(("shapes", "f1"), [(1, 0.9), (2, np.nan)])
def test_the_same_scores_agree_however_little_they_say(shapes, f1):
    rng = np.random.default_rng(5)
    was = scores(rng, seeds=1).assign(f1=f1)
    was = was[was["base_shape"].isin(SHAPES[:shapes])]
    assert {item.verdict for item in retrained_scores(was, was)} == {"agrees"}
    now = was.assign(psnr=was["psnr"] - 2.5, f1=0.9)
    found = {item.item.rsplit(", ")[1] for item in retrained_scores(was, now)
             if item.verdict == "differs"}  # fmt: skip
    assert found == ({"PSNR [dB]", "F1"} if np.isnan(f1) else {"PSNR [dB]"})
