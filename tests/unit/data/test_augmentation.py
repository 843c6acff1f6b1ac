"""What is drawn for training: ranges kept, aberrations as vectors, noise of other detectors."""

import numpy as np
import pytest
import torch

from lowdose.data.augmentation import Augmentation, averaged, resampled_counts
from lowdose.data.renderer import TrainingRenderer
from lowdose.imaging.camera import PixelGrid, blur, detected
from lowdose.imaging.optics import WaveOptics
from lowdose.sampling import resample_counts

ALL = {
    "c1_jitter_nm": 0.5, "contrast_factor": (0.3, 1.0), "focal_spread_nm": (3.6, 5.0),
    "mtf_nyquist": (0.3, 0.8), "vibration_nm": (0.0, 0.03), "drift_nm": 0.06,
    "c3_jitter_um": 3.0, "c12_nm": 1.5, "c21_nm": 40.0, "c23_nm": 30.0, "level_jitter": 0.1,
    "illumination_jitter": 0.2, "pixel_size_nm": (0.004, 0.012),
}  # fmt: skip


LINE = torch.linspace(-1, 1, 33)


def draw(augmentation, count=400):
    rng = np.random.default_rng(3)
    return [augmentation.conditions(8.0, rng) for _ in range(count)]


def test_nothing_is_changed_that_is_not_asked_for(optics, camera):
    augmentation = Augmentation(optics, camera, {})
    (drawn,) = draw(augmentation, 1)
    assert (drawn.c1_nm, drawn.drift_nm) == (8.0, None)
    assert drawn.optics == optics and drawn.camera == camera
    rng = np.random.default_rng(0)
    assert augmentation.detector_pixel(rng) is None
    assert augmentation.illumination(rng).at(torch.zeros(8)).unique().tolist() == [1.0]
    assert augmentation.own_pixel_nm == camera["pixel_size_nm"]


@pytest.mark.parametrize(
    ("section", "key"),
    [("camera", "contrast_factor"), ("optics", "focal_spread_nm"), ("camera", "mtf_nyquist"),
     ("camera", "vibration_nm")],
)  # fmt: skip
def test_ranges_are_filled(optics, camera, section, key):
    low, high = ALL[key]
    values = [getattr(d, section)[key] for d in draw(Augmentation(optics, camera, ALL))]
    middle = np.sqrt(low * high) if key == "contrast_factor" else (low + high) / 2
    assert low <= min(values) < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < max(values) <= high
    assert abs(np.mean(np.array(values) < middle) - 0.5) < 4 * 0.5 / np.sqrt(len(values))


def test_a_residual_aberration_adds_to_the_set_one_as_a_vector(optics, camera):
    """The drawn coefficients, as complex numbers, fill a disc about the one that is set."""
    still = {**optics, "c12_nm": 2.0, "phi12_deg": 30.0}
    drawn = [d.optics for d in draw(Augmentation(still, camera, {"c12_nm": 1.0}))]
    vectors = np.array(
        [o["c12_nm"] * np.exp(2j * np.deg2rad(o["phi12_deg"])) for o in drawn]
    ) - 2.0 * np.exp(2j * np.deg2rad(30.0))
    assert np.abs(vectors).max() <= 1.0
    assert abs(vectors.mean()) < 4 * np.sqrt(1 / 3 / len(vectors))
    assert np.abs(vectors).mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / len(vectors)))


def test_the_strongest_lens_holds_the_band_of_every_drawn_one(optics, camera, cell_nm, phase_wave):
    augmentation = Augmentation(optics, camera, ALL)
    lens = WaveOptics(cell_nm, augmentation.strongest_optics, 300.0)
    spectrum = lens.spectrum(phase_wave)
    for drawn in draw(augmentation, 5):
        own = WaveOptics(cell_nm, drawn.optics, 300.0)
        expected = own.intensity(own.spectrum(phase_wave), drawn.c1_nm)
        image = lens.intensity(spectrum, drawn.c1_nm, drawn.optics)
        sampled = [
            PixelGrid(o.grid, cell_nm, 0.01, (0.5, 0.5), (60, 60), tuple(2 * m for m in o.cut))
            for o in (lens, own)
        ]
        difference = sampled[0].sample(image) - sampled[1].sample(expected)
        # What the wider band adds is below the transfer that counts as none (1e-4).
        assert difference.abs().max() < 1e-3


def test_a_sum_over_foci_follows_the_drawn_spread(optics, camera, cell_nm, phase_wave):
    # Without C3 and C5, whose phase this small cell could not follow at the rim of 3 1/Å.
    summed = {**optics, "focal_points": 7, "c3_um": 0.0, "c5_mm": 0.0}
    phase_wave = np.kron(phase_wave, np.ones((2, 2)))  # each focus passes higher frequencies
    ranges = {"focal_spread_nm": ALL["focal_spread_nm"]}
    lens = WaveOptics(cell_nm, Augmentation(summed, camera, ranges).strongest_optics, 300.0)
    spectrum = lens.spectrum(phase_wave)
    for spread in (3.6, 5.0):
        drawn = {**summed, "focal_spread_nm": spread}
        own = WaveOptics(cell_nm, drawn, 300.0)
        image = lens.intensity(spectrum, 8.0, drawn)
        assert torch.allclose(image, own.intensity(own.spectrum(phase_wave), 8.0), atol=1e-5)


def test_images_are_those_of_the_drawn_lens_and_camera(optics, camera, cell_nm, phase_wave):
    augmentation = Augmentation(optics, camera, ALL)
    lens = WaveOptics(cell_nm, augmentation.strongest_optics, 300.0)
    renderer = TrainingRenderer(
        [lens.spectrum(phase_wave)], np.array([[0, 8.0]]), lens, augmentation, (0.15, 2.7),
        crop_px=16, batch=1, pool=1, seed=4,
    )  # fmt: skip
    conditions = []
    original = augmentation.conditions
    augmentation.conditions = lambda *a: conditions.append(original(*a)) or conditions[-1]
    middle = slice(40, -40)
    for number in range(3):
        coefficients = renderer.image(number)
        drawn = conditions[-1]
        image = lens.intensity(renderer.spectra[0], drawn.c1_nm, drawn.optics)
        through = blur(lens.grid, cell_nm, drawn.camera, 0.0061, drift_nm=drawn.drift_nm)
        expected = detected(image, through, drawn.camera["contrast_factor"])
        # A cubic B-spline's samples are 1/6, 4/6, 1/6 of its coefficients along each axis.
        smooth = coefficients
        for axis in (0, 1):
            smooth = (smooth.roll(1, axis) + 4 * smooth + smooth.roll(-1, axis)) / 6
        assert (smooth - expected)[middle, middle].abs().max() < 1e-4


def test_illumination_has_its_level_and_slope(optics, camera):
    augmentation = Augmentation(optics, camera, ALL)
    rng = np.random.default_rng(1)
    drawn = [augmentation.illumination(rng).at(LINE) for _ in range(300)]
    levels = np.array([float(i.mean()) for i in drawn])
    assert 0.9 - 1e-6 <= levels.min() < 0.91 and 1.09 < levels.max() <= 1.1 + 1e-6
    corners = [float((i.max() - i.min()) / i.mean()) for i in drawn]
    # From side to side 0.2 at most; along the diagonal sqrt 2 of it.
    assert max(corners) <= 0.2 * np.sqrt(2) + 1e-6
    assert max(corners) > 0.2


def test_detector_pixels_are_mixed_with_the_networks_own(optics, camera):
    augmentation = Augmentation(optics, camera, ALL)
    rng = np.random.default_rng(2)
    drawn = [augmentation.detector_pixel(rng) for _ in range(2000)]
    other = np.array([p for p in drawn if p is not None])
    near = np.log(1.05 / 0.95) / np.log(3)  # of the range, taken as they are
    assert len(other) / 2000 == pytest.approx(0.5 * (1 - near), abs=0.05)
    assert other.min() >= 0.004 and other.max() <= 0.012
    assert np.all(np.abs(other / 0.0061 - 1) > 0.05)


@pytest.mark.parametrize("own", [0.0122, 0.0183])
def test_an_own_pixel_takes_the_detectors_counts_and_its_dose(optics, camera, own):
    training_set = {"own_pixel_size_nm": own, "dose_e_per_px": (0.45, 0.45)}
    augmentation = Augmentation(optics, camera, training_set)
    rng = np.random.default_rng(0)
    assert augmentation.own_pixel_nm == own
    assert augmentation.detector_pixel(rng) == camera["pixel_size_nm"]
    assert augmentation.dose(rng) == pytest.approx(0.45 * (own / 0.0061) ** 2)
    near = Augmentation(optics, camera, {"own_pixel_size_nm": 0.0062})
    assert near.detector_pixel(rng) is None
    ranged = Augmentation(optics, camera, {**training_set, "pixel_size_nm": (0.004, 0.012)})
    drawn = [ranged.detector_pixel(rng) for _ in range(400)]
    native = [p for p in drawn if p == camera["pixel_size_nm"]]
    assert len(native) / 400 == pytest.approx(0.5, abs=4 * 0.5 / 20)


def test_an_average_is_that_of_the_area():
    """Pixels of one and a half: the first has its centre and 0.25 of the next on one side."""
    image = torch.tensor([1.0, 5.0, 9.0])[:, None].expand(3, 3).contiguous()
    first = averaged(image, 1.5)[0, 0]
    # From -0.75 to 0.75: of pixel 0 the whole, of pixel 1 a quarter; what lies outside counts as
    # the rest does.
    assert first == pytest.approx((1.0 * 1 + 5.0 * 0.25) / 1.25)
    assert averaged(image, 1.5)[1, 0] == pytest.approx((5.0 * 0.75 + 9.0 * 0.75) / 1.5)


@pytest.mark.parametrize("ratio", [0.004 / 0.0061, 0.012 / 0.0061])
def test_counts_of_another_detector_are_what_a_user_gets(ratio):
    """Same mean, variance and correlation of neighbours as binning or splitting real counts."""
    dose, n = 0.45, 60
    flat = torch.full((int(120 / ratio),) * 2, dose * ratio**2)
    drawn = (
        torch.stack(
            [resampled_counts(flat, 0.0, ratio, torch.Generator().manual_seed(s)) for s in range(n)]
        )
        .double()
        .numpy()
    )
    rng = np.random.default_rng(8)
    side = int(np.ceil(120 / ratio)) + 2
    real = np.stack(
        [resample_counts(rng.poisson(dose * ratio**2, (side, side)), ratio, 1.0)[0][:110, :110]
         for _ in range(n)]
    ).astype(float)  # fmt: skip
    assert drawn.shape[1] >= 120 - int(np.ceil(ratio)) - 1
    inner = drawn[:, 4:104, 4:104]
    error = np.sqrt(dose / inner.size)  # of the mean: electrons are independent
    assert abs(inner.mean() - dose) < 4 * error
    assert abs(real.mean() - dose) < 4 * error

    def moments(stack):
        centred = stack[:, 4:104, 4:104] - dose
        return [np.mean(centred**2)] + [
            np.mean(centred[:, :, :-k] * centred[:, :, k:]) for k in (1, 2)
        ]

    assert moments(drawn) == pytest.approx(moments(real), abs=0.02 * dose)
