"""The detector on Gaussian columns whose positions are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_laplace

from lowdose.columns.detection import detect_columns, log_response
from lowdose.columns.matching import match
from lowdose.runtime import UserError

PIXEL_NM = 0.0061
WIDTH_PX = 8.0


def blobs(shape, centres_px, height, width_px=WIDTH_PX):
    """Return a relative image with a Gaussian at each (x, y) [px]."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.ones(shape)
    for cx, cy in centres_px:
        image += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width_px**2))
    return image


def lattice_px(n_rows, n_cols, origin=(80.0, 70.0)):
    """Return columns (x, y) [px] of Pt along [110]: neighbours 0.240 and 0.277 nm apart."""
    i, j = np.mgrid[:n_rows, :n_cols]
    shift = (i * 0.08 + 0.12) % 0.24 - 0.12
    x, y = j * 0.240 + shift, i * 0.2263
    return np.stack([x.ravel(), y.ravel()], axis=1) / PIXEL_NM + np.asarray(origin)


def test_response_of_a_blob_is_its_closed_form():
    sigma, width, height = 8.0, 6.0, 0.3
    response = log_response(blobs((161, 141), [(70, 80)], height, width), sigma)
    peak = 2 * height * sigma**2 * width**2 / (sigma**2 + width**2) ** 2
    assert response[80, 70] == pytest.approx(peak, rel=1e-4)
    matched = log_response(blobs((161, 141), [(70, 80)], height, sigma), sigma)
    assert matched[80, 70] == pytest.approx(height / 2, rel=1e-4)


@pytest.mark.parametrize("sigma", [1.5, 4.0, 8.0])
def test_response_equals_scipy_s_filter_borders_included(sigma):
    image = np.random.default_rng(0).random((97, 120))
    expected = -(sigma**2) * gaussian_laplace(image, sigma, mode="reflect", truncate=8)
    # scipy samples the kernel, which at small scales differs from the continuous transform.
    assert np.abs(log_response(image, sigma) - expected).max() < 2e-3 * np.abs(expected).max()


def test_positions_are_unbiased_to_a_hundredth_of_a_pixel():
    rng = np.random.default_rng(5)
    centres = np.array([[60, 60], [180, 60], [60, 180], [180, 180]]) + rng.uniform(
        -0.5, 0.5, (4, 2)
    )
    for height in (0.05, 0.4):
        found = detect_columns(blobs((240, 240), centres, height), PIXEL_NM, threshold=0.01)
        _, j, distance = match(centres * PIXEL_NM, found[["x_nm", "y_nm"]])
        assert len(j) == len(found) == 4
        assert distance.max() / PIXEL_NM < 0.01
        assert found["response"].to_numpy() == pytest.approx(height / 2, rel=0.02)


def test_every_column_of_a_lattice_and_nothing_in_vacuum():
    centres = lattice_px(8, 10)
    image = blobs((440, 560), centres, 0.2)
    found = detect_columns(image, PIXEL_NM, threshold=0.044)
    i, _, distance = match(centres * PIXEL_NM, found[["x_nm", "y_nm"]])
    assert len(found) == len(i) == 80
    assert distance.max() < 0.015  # neighbours' tails pull the outermost columns inwards
    inner = distance.reshape(8, 10)[1:-1, 1:-1]
    assert inner.max() < 0.003
    assert detect_columns(np.ones((200, 300)), PIXEL_NM, threshold=1e-4).empty


def test_dark_columns_are_found_with_the_other_polarity():
    centres = lattice_px(3, 4)
    image = 2 - blobs((300, 320), centres, 0.2)
    dark = detect_columns(image, PIXEL_NM, threshold=0.044, polarity=-1)
    assert len(match(centres * PIXEL_NM, dark[["x_nm", "y_nm"]])[0]) == len(dark) == 12
    assert (dark["amplitude"] < -0.1).all()
    assert (dark["response"] > 0).all()


def test_strongest_first_mask_and_minimal_distance():
    centres = np.array([[60.0, 60.0], [160.0, 60.0], [175.0, 60.0]])
    image = blobs((120, 240), centres[:1], 0.1) + blobs((120, 240), centres[1:2], 0.4) - 1
    image += blobs((120, 240), centres[2:], 0.02, width_px=2) - 1
    mask = np.ones(image.shape, dtype=bool)
    found = detect_columns(image, PIXEL_NM, threshold=0.001, sigma_nm=0.02, mask=mask)
    assert (np.diff(found["response"]) <= 0).all()
    assert found.loc[0, "x_nm"] / PIXEL_NM == pytest.approx(160, abs=0.2)
    positions = found[["x_nm", "y_nm"]].to_numpy()
    gaps = np.linalg.norm(positions[:, None] - positions[None], axis=2)[
        np.triu_indices(len(found), 1)
    ]
    assert (gaps > 0.12).all()
    mask[:, 120:] = False
    masked = detect_columns(image, PIXEL_NM, threshold=0.03, mask=mask)
    assert len(masked) == 1
    assert masked.loc[0, "x_nm"] / PIXEL_NM == pytest.approx(60, abs=0.2)


def test_amplitude_is_the_disc_s_mean_above_vacuum():
    image = np.ones((100, 100))
    image[30:71, 30:71] = 1.25
    found = detect_columns(image, PIXEL_NM, threshold=0.01, sigma_nm=0.1)
    assert found.loc[0, ["x_nm", "y_nm"]].to_numpy() / PIXEL_NM == pytest.approx([50, 50], abs=0.01)
    assert found.loc[0, "amplitude"] == pytest.approx(0.25)


def test_pixel_size_does_not_matter():
    centres_nm = np.array([[0.8, 0.9], [1.04, 0.9]])
    for pixel in (0.004, 0.0061, 0.012):
        image = blobs((int(1.8 / pixel), int(2 / pixel)), centres_nm / pixel, 0.3, 0.049 / pixel)
        found = detect_columns(image, pixel, threshold=0.05)
        distance = match(centres_nm, found[["x_nm", "y_nm"]])[2]
        assert len(distance) == len(found) == 2
        assert distance.max() < 0.006


def test_impossible_input_is_told():
    flat = np.ones((20, 20))
    with pytest.raises(UserError, match="pixel_size_nm"):
        detect_columns(flat, 0.0, threshold=0.1)
    with pytest.raises(UserError, match="mask"):
        detect_columns(flat, PIXEL_NM, threshold=0.1, mask=np.ones((3, 3), bool))
    with pytest.raises(UserError, match="polarity"):
        detect_columns(flat, PIXEL_NM, threshold=0.1, polarity=0)
    with pytest.raises(UserError, match="NaN"):
        detect_columns(np.full((20, 20), np.nan), PIXEL_NM, threshold=0.1)
    with pytest.raises(UserError, match="one frame"):
        log_response(np.ones((2, 20, 20)), 3.0)
