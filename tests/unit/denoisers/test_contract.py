"""The contract of DESIGN section 1, over the whole registry.

A further denoiser joins by its name in the registry; one that needs fitting, such as a network,
joins through `FITTED`, a function that returns it ready to use.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from lowdose.denoisers import registry
from lowdose.denoisers.cards import network_info
from lowdose.denoisers.contract import Denoiser, DenoiserInfo
from lowdose.denoisers.learned import LearnedDenoiser
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.networks.receptive_field import computed
from lowdose.runtime import UserError


def network(spec: dict, **parameters) -> LearnedDenoiser:
    """A small network that is neither trained nor blank: it adds a little of what it sees."""
    made = build(spec, seed=0)
    last = [m for m in made.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(0))
    card = {
        "name": spec["architecture"],
        "receptive_field_px": computed(made),
        "pixel_size_nm": [0.004, 0.012],
        "dose_e_per_a2": [10.0, 1500.0],
    }
    info = network_info(spec["architecture"], card)
    return LearnedDenoiser(made, info, own_pixel_size_nm=0.0061, **parameters)


UNET = {"architecture": "unet", "scales": 2, "widths": [4, 6, 8], "convolutions": 1, "stem": 4}
DNCNN = {"architecture": "dncnn", "layers": 4, "channels": 4}
FITTED: dict[str, Callable[[], Denoiser]] = {
    "unet": lambda: network(UNET),
    "dncnn": lambda: network(DNCNN, orientations=8),
}
NAMES = [name for name in registry.names() if not registry.info(name).needs_fit] + list(FITTED)
SIZES = [(1, 1), (1, 9), (2, 2), (37, 53), (64, 3), (130, 101)]
# Shot noise is all that raw returns; every other method must remove most of it (67 % at 0.45
# e/px): 10 % is what a mean over 15 x 15 pixels leaves.
NOT_FLAT = {"raw"}
# What trains on the frames keeps its promises from the first steps on.
FEWER = {"udvd": {"steps": 10}, "blind-spot": {"steps": 30}}
FLAT_RMS = 0.10


def make(name: str) -> Denoiser:
    if sentence := registry.missing(name):
        pytest.skip(sentence)
    return FITTED[name]() if name in FITTED else registry.create(name, **FEWER.get(name, {}))


def info_of(name: str) -> DenoiserInfo:
    return make(name).info if name in FITTED else registry.info(name)


def operating_points(name: str) -> list[tuple[float, float]]:
    """Pixel sizes (nm) and doses (e/Å²): the reference, and a tenth and ten times of its dose."""
    info = info_of(name)
    points = [(0.0061, 120.9), (0.0061, 12.0), (0.0061, 1209.0), (0.012, 120.9)]
    low, high = info.pixel_size_nm
    least, most = info.dose_e_per_a2
    inside = [(p, d) for p, d in points if low <= p <= high and least <= d <= most]
    return inside or [((low * high) ** 0.5, (least * most) ** 0.5)]


def frames(name: str, shape: tuple[int, ...], point: int = 0) -> tuple[np.ndarray, float, float]:
    pixel_nm, dose = operating_points(name)[point]
    rate = dose * (10 * pixel_nm) ** 2
    counts = np.random.default_rng(sum(shape)).poisson(rate, shape).astype(np.float32)
    return counts, pixel_nm, dose


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_any_size_at_every_operating_point(name, size):
    denoiser = make(name)
    for point in range(len(operating_points(name))):
        counts, pixel_nm, dose = frames(name, (2, *size), point)
        before = counts.copy()
        for given in (None, dose):
            estimate = denoiser.denoise(counts, pixel_nm, dose=given)
            assert estimate.shape == counts.shape
            assert estimate.dtype == np.float32
            assert np.isfinite(estimate).all()
            kept = None if info_of(name).temporal else (1, 2)  # of the stack, or of each frame
            totals = counts.sum(axis=kept, dtype=np.float64)
            found = estimate.sum(axis=kept, dtype=np.float64)
            assert (np.abs(found - totals) <= 0.01 * totals).all()
        assert np.array_equal(counts, before)


def test_the_registry_knows_the_temporal_ones():
    assert {name for name in registry.names() if registry.info(name).temporal} == registry.TEMPORAL


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_independent_unless_temporal(name):
    counts, pixel_nm, dose = frames(name, (3, 45, 52))
    denoiser = make(name)
    together = denoiser.denoise(counts, pixel_nm, dose=dose)
    alone = [denoiser.denoise(frame[None], pixel_nm, dose=dose)[0] for frame in counts]
    assert np.allclose(together, alone, rtol=1e-5, atol=1e-6) is not info_of(name).temporal


@pytest.mark.parametrize("name", NAMES)
def test_flat_comes_back_flat(name):
    counts, pixel_nm, dose = frames(name, (1, 256, 256))
    expectation = dose * (10 * pixel_nm) ** 2
    relative = make(name).denoise(counts, pixel_nm, dose=dose)[0] / expectation - 1
    rms = np.sqrt((relative**2).mean())
    # The total may differ by 1 %, and the counts' own by four standard errors.
    assert abs(relative.mean()) < 0.01 + 4 / np.sqrt(counts.size * expectation)
    assert bool(rms < FLAT_RMS) is (name not in NOT_FLAT)
    # Borders are no worse: half of the frame's outermost ten pixels would show zero padding.
    edge = np.concatenate([relative[:10].ravel(), relative[-10:].ravel()])
    assert abs(edge.mean()) < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_no_counts_give_no_counts(name):
    assert not make(name).denoise(np.zeros((1, 20, 20), np.float32), 0.0061).any()


@pytest.mark.parametrize("name", NAMES)
def test_input_of_any_real_type_and_layout(name):
    counts, pixel_nm, dose = frames(name, (1, 40, 33))
    denoiser = make(name)
    reference = denoiser.denoise(counts, pixel_nm, dose=dose)
    for variant in (counts.astype(np.uint16), counts.astype(">f8"), np.asfortranarray(counts)):
        variant.flags.writeable = False
        assert np.array_equal(denoiser.denoise(variant, pixel_nm, dose=dose), reference)


@pytest.mark.parametrize("name", NAMES)
def test_registry_entry_is_complete(name):
    info = info_of(name)
    assert info.name == name
    assert info.title and info.citation and info.licence
    assert 0 < info.pixel_size_nm[0] < info.pixel_size_nm[1]
    assert 0 < info.dose_e_per_a2[0] < info.dose_e_per_a2[1]
    for parameter_name, parameter in info.parameters.items():
        assert parameter.check(name, parameter_name, parameter.default) == parameter.default
        assert parameter.description


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.ones((8, 8)), r"2 dimensions; .* counts\[None\]"),
        (np.ones(8), "1 dimensions; give a stack of frames"),
        (np.ones((1, 0, 8)), "is empty"),
        (np.full((1, 8, 8), -0.5), "go down to -0.5"),
        (np.full((1, 8, 8), np.nan), "64 pixels of the counts are not finite"),
        (np.ones((1, 8, 8), complex), "of type complex128"),
    ],
)
def test_impossible_counts_are_refused(counts, message):
    with pytest.raises(UserError, match=message):
        registry.create("gaussian").denoise(counts, 0.0061)


@pytest.mark.parametrize(
    ("pixel_nm", "dose", "message"),
    [
        (0.0, None, "The pixel size is 0.0"),
        (-0.006, None, "The pixel size is -0.006"),
        (float("nan"), None, "The pixel size is nan"),
        (0.006, 0.0, "The dose is 0.0"),
        (0.006, -120.0, "The dose is -120.0"),
        (0.006, [1.0, 2.0], "2 doses for 3 frames"),
    ],
)
def test_impossible_pixel_size_or_dose_is_refused(pixel_nm, dose, message):
    with pytest.raises(UserError, match=message):
        registry.create("gaussian").denoise(np.ones((3, 8, 8)), pixel_nm, dose=dose)
