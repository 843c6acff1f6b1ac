"""The support's outline: made-up lattices at any angle, and multislice frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lowdose.columns.detection import detect_columns
from lowdose.columns.matching import match
from lowdose.columns.support import Support, find_support
from lowdose.columns.surface import surface_columns
from lowdose.data.frames import region, render
from lowdose.runtime import UserError
from lowdose.structures.library import true_columns

PIXEL_NM = 0.0122
SIDE_NM = 4.4
METAL = np.array([[0.2772, 0.0], [0.1386, 0.1960]])  # of Pt [110], rows 0.196 nm apart
OXIDE = np.array([[0.3826, 0.0], [0.1913, 0.2706]])  # of CeO2


def lattice(vectors, angle_deg, keep):
    """Return the points (x, y) [nm] of a lattice through the centre of the frame."""
    turn = np.deg2rad(angle_deg)
    turned = vectors @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    n = np.arange(-40, 41)
    points = (n[:, None, None] * turned[0] + n[None, :, None] * turned[1]).reshape(-1, 2)
    points = points + SIDE_NM / 2
    inside = (np.abs(points - SIDE_NM / 2) < SIDE_NM / 2 + 0.2).all(axis=1)
    return points[inside & keep(points)]


def image_of(*lattices, heights=(0.3, 0.3)):
    size = int(SIDE_NM / PIXEL_NM)
    y, x = np.mgrid[:size, :size] * PIXEL_NM
    image = np.ones((size, size))
    for points, height in zip(lattices, heights, strict=False):
        for u, v in points:
            image += height * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 2 / 0.05**2)
    return image.astype(np.float32)


@pytest.fixture(scope="module")
def imaging(optics, camera):
    return {"optics": optics, "camera": camera, "energy_kev": 300.0}


def scene(angle_deg, heights=(0.3, 0.3)):
    """A strip of metal, 2 nm wide, on an oxide half-plane; the outline runs through the centre."""
    turn = np.deg2rad(angle_deg)
    down = np.array([-np.sin(turn), np.cos(turn)])  # of the support, in (x, y)
    along = np.array([np.cos(turn), np.sin(turn)])

    def height(p):
        return -(p - SIDE_NM / 2) @ down

    metal = lattice(METAL, angle_deg, lambda p: (height(p) > 0.1) & (height(p) < 1.2)
                    & (np.abs((p - SIDE_NM / 2) @ along) < 1.0))  # fmt: skip
    oxide = lattice(OXIDE, angle_deg, lambda p: height(p) < -0.2)
    return image_of(metal, oxide, heights=heights), metal, height


@pytest.mark.parametrize("angle", [0, 37, 90, 200])
@pytest.mark.parametrize("heights", [(0.3, 0.3), (0.25, 0.3), (-0.3, -0.3)])
def test_bottom_layer_is_found_at_any_angle_and_contrast(angle, heights):
    image, metal, height = scene(angle, heights)
    support = find_support(image, PIXEL_NM)
    layer = np.rint((height(metal) - height(metal).min()) / 0.196).astype(int)
    np.testing.assert_array_equal(support.carries(metal), layer == 0)
    # The outline lies where the lattices meet.
    assert np.abs(support.distance(metal) - height(metal))[layer == 1].max() < 0.15
    assert support.free[[int(v / PIXEL_NM) for v in metal[:, 1]],
                        [int(u / PIXEL_NM) for u in metal[:, 0]]].all()  # fmt: skip
    # The surface is what a line drawn by hand gives, in a frame turned upright.
    turn = np.deg2rad(angle)
    upright = (metal - SIDE_NM / 2) @ np.array([[np.cos(turn), -np.sin(turn)],
                                                [np.sin(turn), np.cos(turn)]])  # fmt: skip
    by_line = surface_columns(upright, interface_y_nm=upright[:, 1].max() + 0.1)
    by_outline = surface_columns(metal, on_support=support.carries(metal))
    np.testing.assert_array_equal(by_outline, by_line)


@pytest.mark.parametrize(("c1_nm", "tilt"), [(7.0, (0.0, 0.0)), (9.0, (0.0, 4.0)),
                                             (9.0, (4.0, 0.0)), (16.0, (0.0, 0.0))])  # fmt: skip
def test_real_frames_have_the_same_surface_by_outline_as_by_line(
    tilted_waves, particle_model, imaging, model, c1_nm, tilt
):
    cell = tuple(particle_model.cell.lengths()[[1, 0]] / 10)
    pixel = imaging["camera"]["pixel_size_nm"]
    frame = render(tilted_waves[tilt], cell, c1_nm, imaging)
    table = true_columns(particle_model, model("PtNp1c", tilt=tilt))
    metal = table[table["is_particle"]]
    points = metal[["x_nm", "y_nm"]].to_numpy() - [0.0, region(cell[0])[0]]
    line = points[:, 1].max() + 0.115
    support = find_support(frame, pixel)
    bottom = points[:, 1] > line - 0.2
    np.testing.assert_array_equal(support.carries(points), bottom)
    # At the feet of the particle the outline rises, by up to a layer.
    away = np.abs(support.distance(points) - (line - points[:, 1]))[bottom]
    assert np.median(away) < 0.1 and away.max() < 0.3
    np.testing.assert_array_equal(
        surface_columns(points, on_support=support.carries(points)),
        surface_columns(points, interface_y_nm=line, bottom_layer_nm=0.2),
    )
    # Turned by a right angle and by 30 degrees, the columns at the interface stay the same.
    turned = find_support(np.rot90(frame).copy(), pixel)
    np.testing.assert_array_equal(
        turned.carries(
            np.column_stack([points[:, 1], (frame.shape[1] - 1) * pixel - points[:, 0]])
        ),
        bottom,
    )
    # Through the detector, bright columns of the frame itself.
    found = detect_columns(frame, pixel, threshold=0.1, mask=support.free)
    at = found[["x_nm", "y_nm"]].to_numpy()
    surface = at[surface_columns(at, on_support=support.carries(at))]
    true = points[metal["is_surface"].to_numpy(dtype=bool)]
    matched = len(match(true, surface, 0.072)[0])
    assert matched / len(true) > 0.9
    # None is in vacuum: each is at the particle, or on the support.
    away = np.linalg.norm(at[:, None] - points[None], axis=2).min(axis=1)
    assert (away[support.distance(at) > 0.4] < 0.3).all()


def test_a_particle_without_support_has_none():
    _, metal, _ = scene(0)
    image = image_of(metal)
    assert find_support(image, PIXEL_NM) is None
    assert find_support(np.ones((200, 200), np.float32), PIXEL_NM) is None
    # Noise has amplitude in every band; it makes no support, beside a particle or alone.
    rng = np.random.default_rng(2)
    for expected in (np.ones((400, 400)), image):
        for dose in (0.45, 5.0):
            noisy = (rng.poisson(dose * expected) / dose).astype(np.float32)
            assert find_support(ndimage.gaussian_filter(noisy, 4), PIXEL_NM) is None


def test_distance_from_a_known_mask():
    mask = np.zeros((40, 60), bool)
    mask[30:] = True
    support = Support.of(mask, 0.1)
    # The outline is between rows 29 and 30, at 2.95 nm.
    np.testing.assert_allclose(
        support.distance([[1.0, 0.95], [3.0, 2.9], [3.0, 3.0], [5.0, 3.45]]),
        [2.0, 0.05, -0.05, -0.5], atol=1e-6,
    )  # fmt: skip
    assert support.free.sum() == 31 * 60
    # Two layers above it: the lower one carries, also where its outline is uncertain.
    layers = np.array([[1.0, 2.83], [1.24, 2.83], [1.12, 2.62], [1.36, 2.62]])
    np.testing.assert_array_equal(support.carries(layers), [True, True, False, False])
    np.testing.assert_array_equal(support.carries(layers[2:]), [True, True])
    assert support.carries(layers[:0]).shape == (0,)


@pytest.mark.parametrize(("image", "pixel", "message"), [
    (np.ones((3, 50, 50)), 0.01, "one finite frame"),
    (np.full((50, 50), np.nan), 0.01, "one finite frame"),
    (np.ones((50, 50)), 0.2, "pixel_size_nm is 0.2"),
    (np.ones((50, 50)), 0.0, "pixel_size_nm is 0.0"),
])  # fmt: skip
def test_bad_input_is_named(image, pixel, message):
    with pytest.raises(UserError, match=message):
        find_support(image, pixel)


def test_a_line_and_an_outline_exclude_each_other():
    points = np.array([[0.0, 0.0], [0.24, 0.0], [0.12, 0.2]])
    with pytest.raises(UserError, match="no interface line"):
        surface_columns(points, interface_y_nm=1.0, on_support=[True, True, False])
    with pytest.raises(UserError, match="one value for each column"):
        surface_columns(points, on_support=[True])
    with pytest.raises(UserError, match="covers no pixel"):
        Support.of(np.zeros((5, 5), bool), 0.1)
