"""What the noise of one image allows: parts that are independent, and tests that are unbiased."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lowdose.denoisers.adaptation.observation import (
    Electrons,
    Gaussian,
    Unknown,
    choose,
    without,
)
from lowdose.runtime import UserError
from lowdose.sampling import resample_counts

DOSE = 0.45
OBSERVED = {
    "electrons": lambda rng, clean: Electrons(rng.poisson(DOSE * clean), DOSE),
    "finer pixels": lambda rng, clean: Electrons(rng.poisson(DOSE * clean), DOSE, 0.7),
    "coarser pixels": lambda rng, clean: Electrons(rng.poisson(DOSE * clean), DOSE, 1.6),
    "gaussian": lambda rng, clean: Gaussian(clean + 0.3 * rng.standard_normal(clean.shape), 0.3),
}


def scene(side: int = 48) -> np.ndarray:
    """A lattice of bright columns in vacuum, vacuum = 1."""
    y, x = np.mgrid[:side, :side]
    return 1 + 0.4 * np.cos(2 * np.pi * y / 12) * np.cos(2 * np.pi * x / 16)


def smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(image, sigma, mode="nearest")


def truth_of(observed, clean: np.ndarray) -> np.ndarray:
    """The clean image on the observation's own pixels."""
    ratio = getattr(observed, "ratio", 1)
    return clean if ratio == 1 else resample_counts(clean, 1, ratio)[0] / ratio**2


@pytest.mark.parametrize("kind", OBSERVED)
def test_the_comparison_is_unbiased_and_its_error_is_right(kind):
    """z of the difference from the true one: mean 0, standard deviation 1, over many frames."""
    rng, clean, z = np.random.default_rng(1), scene(), []
    for _ in range(300):
        observed = OBSERVED[kind](rng, clean)
        seen, unseen = observed.deal(0.7, rng)
        truth = truth_of(observed, clean)
        one, other = smooth(seen.image, 1.5), smooth(seen.image, 3)
        found = unseen.compare(one, other)
        true = np.mean((one - truth) ** 2) - np.mean((other - truth) ** 2)
        z.append((found.difference - true) / found.error)
    assert abs(np.mean(z)) < 3.5 / np.sqrt(300)
    assert np.std(z) == pytest.approx(1, abs=0.15)  # standard error 0.04


def test_hidden_pixels_compare_without_bias_as_well():
    """Their truth is known at those pixels alone; the noise may be anything independent."""
    rng, clean, z = np.random.default_rng(2), scene(), []
    for _ in range(300):
        image = clean * rng.gamma(4, 1 / 4, clean.shape)
        seen, unseen = Unknown(image).deal(0.8, rng)
        one, other = smooth(seen.image, 1.5), smooth(seen.image, 3)
        found = unseen.compare(one, other)
        at = unseen.chosen
        true = np.mean((one - clean)[at] ** 2) - np.mean((other - clean)[at] ** 2)
        z.append((found.difference - true) / found.error)
    assert abs(np.mean(z)) < 3.5 / np.sqrt(300)
    assert np.std(z) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("kind", OBSERVED)
def test_the_probe_varies_as_the_noise_does(kind):
    """Variance and covariance of neighbours, of the noise and of probes of single frames."""
    rng, clean = np.random.default_rng(3), scene()
    noise, probes = [], []
    for _ in range(400):
        observed = OBSERVED[kind](rng, clean)
        noise.append(observed.image - truth_of(observed, clean))
        probes.append(observed.probe(rng))
    noise, probes = np.array(noise), np.array(probes)
    assert abs(probes.mean()) < 4 * probes.std() / np.sqrt(probes.size)
    for shift in (0, 1):
        length = noise.shape[2] - shift
        wanted, found = (np.mean(a[..., :length] * a[..., shift:]) for a in (noise, probes))
        assert found == pytest.approx(wanted, abs=0.03 * noise.var().item())


@pytest.mark.parametrize("kind", OBSERVED)
def test_another_exposure_has_the_mean_and_the_noise_of_the_first(kind):
    rng, clean = np.random.default_rng(4), scene(60)
    first = [OBSERVED[kind](rng, clean) for _ in range(150)]
    truth = truth_of(first[0], clean)
    drawn = np.array([first[0].redrawn(truth, rng) for _ in first])
    seen = np.array([one.image for one in first])
    # Bringing a resampled image back to the frame's pixels blurs it: by less than 0.03.
    bias = np.mean((drawn.mean(axis=0) - truth) ** 2) - drawn.var(axis=0).mean() / len(drawn)
    assert bias < 0.03**2
    assert drawn.mean() == pytest.approx(1, abs=5e-3)
    assert drawn.var(axis=0).mean() == pytest.approx(seen.var(axis=0).mean().item(), rel=0.03)


def test_electrons_are_kept_and_parts_independent():
    rng = np.random.default_rng(5)
    counts = rng.poisson(2.0, (200, 200))
    before = counts.copy()
    seen, unseen = Electrons(counts, 2.0).deal(0.7, rng)
    assert np.array_equal(seen.counts + unseen.counts, counts)
    assert (seen.dose, unseen.dose) == pytest.approx((1.4, 0.6))
    correlation = np.corrcoef(seen.counts.ravel(), unseen.counts.ravel())[0, 1]
    assert abs(correlation) < 4 / 200
    assert np.array_equal(counts, before)


def test_gaussian_parts_are_independent_and_add_up():
    rng = np.random.default_rng(6)
    image = rng.standard_normal((200, 200))
    seen, unseen = Gaussian(image, 1.0).deal(0.7, rng)
    assert seen.image.var() == pytest.approx(1 / 0.7, rel=0.03)
    assert unseen.image.var() == pytest.approx(1 / 0.3, rel=0.03)
    assert abs(np.corrcoef(seen.image.ravel(), unseen.image.ravel())[0, 1]) < 4 / 200
    np.testing.assert_allclose(0.7 * seen.image + 0.3 * unseen.image, image, atol=1e-5)


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_what_is_hidden_cannot_be_seen(reach):
    """The image without chosen pixels is the same whatever they and their neighbours held."""
    rng = np.random.default_rng(7)
    image = rng.random((60, 70)).astype(np.float32)
    chosen = choose(image.shape, 0.2, reach, rng)
    replaced, hidden = without(image, chosen, reach, np.random.default_rng(8))
    changed = np.where(hidden, 100 + rng.random(image.shape), image).astype(np.float32)
    again, _ = without(changed, chosen, reach, np.random.default_rng(8))
    assert np.array_equal(again, replaced)
    assert np.array_equal(hidden, ndimage.binary_dilation(chosen, np.ones((2 * reach + 1,) * 2)))
    assert np.array_equal(replaced[~hidden], image[~hidden])
    assert 0.1 < hidden.mean() < 0.22  # squares overlap
    # Stand-ins are pixels of the surroundings.
    assert np.isin(replaced[hidden], image[~hidden]).mean() > 0.99


def test_an_image_of_which_all_is_hidden():
    image = np.full((4, 4), 7, np.float32)
    replaced, hidden = without(image, np.ones((4, 4), bool), 0, np.random.default_rng(0))
    assert hidden.all() and not replaced.any()


@pytest.mark.parametrize(("ratio", "reach"), [(1.0, 0), (0.7, 2), (1.6, 1), (2.3, 1), (0.45, 3)])
def test_how_far_resampled_pixels_share_electrons(ratio, reach):
    """Two pixels share noise if the rows of the resampling matrix have a pixel in common."""
    observed = Electrons(np.ones((80, 80)), 1.0, ratio)
    assert observed.reach == reach
    if ratio != 1:
        shared = observed.grid.down @ observed.grid.down.T > 1e-12
        rows, columns = np.nonzero(shared)
        assert np.abs(rows - columns).max() == reach


def test_resampling_is_that_of_the_package_and_its_transpose():
    rng = np.random.default_rng(9)
    counts = rng.poisson(1.0, (50, 41))
    observed = Electrons(counts, 1.0, 1.6)
    np.testing.assert_allclose(observed.image * 1.6**2, resample_counts(counts, 1, 1.6)[0],
                               rtol=1e-6)  # fmt: skip
    values = rng.random(observed.image.shape)
    assert np.sum(values * observed.grid.gather(counts)) == pytest.approx(
        np.sum(observed.grid.scatter(values) * counts)
    )


def test_bad_input_is_refused():
    image = np.ones((8, 8))
    with pytest.raises(UserError, match="The dose is 0"):
        Electrons(image, 0)
    with pytest.raises(UserError, match="standard deviation of -1"):
        Gaussian(image, -1)
    with pytest.raises(UserError, match="not whole electrons"):
        Electrons(0.5 * image, 1.0).deal(0.5, np.random.default_rng(0))
    with pytest.raises(UserError, match=r"the unbiased risk needs it; .* blind-spot"):
        Unknown(image).probe(np.random.default_rng(0))
    with pytest.raises(UserError, match="noise resampling needs it"):
        Unknown(image).redrawn(image, np.random.default_rng(0))
