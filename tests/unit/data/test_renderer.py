"""Training crops: a pure function of the step, true to the image, with shot noise."""

import numpy as np
import pytest
import torch

from lowdose.data.augmentation import Augmentation
from lowdose.data.renderer import TrainingRenderer
from lowdose.imaging.camera import PixelGrid, blur, detected
from lowdose.imaging.optics import WaveOptics

STILL = {
    "c1_jitter_nm": 0.0, "contrast_factor_jitter": 0.0, "rotation_deg": 0.0, "scale_jitter": 0.0,
    "dose_e_per_px": (0.45, 0.45),
}  # fmt: skip
LIVELY = {
    "c1_jitter_nm": 0.5, "contrast_factor_jitter": 0.15, "rotation_deg": 180.0,
    "scale_jitter": 0.05, "dose_e_per_px": (0.2, 1.5),
}  # fmt: skip
REGION_NM = (0.15, 2.70)


class Coordinates(TrainingRenderer):
    """Renders a picture of one coordinate, so that crops tell where they were cut."""

    kind = "y"

    def image(self, number: int) -> torch.Tensor:
        rows, columns = self.optics.grid
        if self.kind == "y":  # nm
            line = torch.arange(rows)[:, None] / rows * self.optics.cell_nm[0]
            return line.expand(rows, columns).contiguous()
        angle = 2 * np.pi * torch.arange(columns)[None, :] / columns
        wave = torch.cos(angle) if self.kind == "cos" else torch.sin(angle)
        return (2 + wave).expand(rows, columns).contiguous()


@pytest.fixture(scope="module")
def make(phase_wave, cell_nm, optics, camera):
    """A function (training set, class, options) that builds a renderer of one or two waves."""
    lens = WaveOptics(cell_nm, optics, 300.0)
    spectra = [lens.spectrum(phase_wave), lens.spectrum(phase_wave[::-1].copy())]

    def build(training_set, kind=TrainingRenderer, *, images=((0, 8.0),), **options):
        settings = {"crop_px": 48, "batch": 3, "pool": 4, "seed": 9, **options}
        augmentation = Augmentation(optics, camera, training_set)
        return kind(spectra, np.array(images), lens, augmentation, REGION_NM, **settings)

    return build


def places(make, training_set, step, **options) -> tuple[np.ndarray, np.ndarray]:
    """Where the crops of a step lie: y and x (0 to the width) of every pixel [nm]."""
    values = {}
    for kind in ("y", "cos", "sin"):
        cut = make(training_set, Coordinates, **options)
        cut.kind = kind
        values[kind] = cut.batch(step)[1].numpy()[:, 0].astype(np.float64)
    angle = np.arctan2(values["sin"] - 2, values["cos"] - 2)
    return values["y"], (angle % (2 * np.pi)) / (2 * np.pi) * 2.4


IMAGES = ((0, 6.0), (1, 8.0), (0, 12.0), (1, 7.0))


def test_batch_is_a_function_of_the_step_alone(make):
    def fresh():
        return make(LIVELY, images=IMAGES)

    walked = fresh()
    history = {step: walked.batch(step) for step in range(8)}
    for step in (7, 0, 3):
        for old, new in zip(history[step], fresh().batch(step), strict=True):
            assert torch.equal(old, new)
    jumping = fresh()
    for step in (5, 2, 7, 2, 6):
        for old, new in zip(history[step], jumping.batch(step), strict=True):
            assert torch.equal(old, new)
    assert not torch.equal(history[0][1], history[1][1])


def test_seeds_differ(make):
    first, other = (make(LIVELY, images=IMAGES, seed=s).batch(0)[1] for s in (1, 2))
    assert not torch.equal(first, other)


def test_each_step_renders_one_image(make, monkeypatch):
    renderer = make(LIVELY, images=IMAGES, pool=4)
    drawn = []
    original = renderer.image
    monkeypatch.setattr(renderer, "image", lambda n: (drawn.append(n), original(n))[1])
    for step in range(5):
        renderer.batch(step)
    assert drawn == list(range(8))  # four for the first step, then one each


def test_noise_has_the_mean_and_the_variance_of_counts(make):
    renderer = make({**LIVELY, "dose_e_per_px": (0.45, 0.45)}, batch=8, crop_px=64)
    pairs = [renderer.batch(step) for step in range(12)]
    noisy, clean = (torch.cat([p[i] for p in pairs]).double().numpy() for i in (0, 1))
    counts = noisy * 0.45
    assert np.abs(counts - np.rint(counts)).max() < 1e-5
    z = (noisy - clean) / np.sqrt(clean / 0.45)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    # The variance of z^2 is 2 + 1 / (expected counts).
    assert abs((z**2).mean() - 1) < 4 * np.sqrt((2 + 1 / 0.35) / z.size)


def test_dark_counts_are_noise_without_bias(make, camera):
    renderer = make({**LIVELY, "dose_e_per_px": (0.45, 0.45)}, batch=8, crop_px=64)
    clean_before = renderer.batch(0)[1]
    renderer.augmentation.camera = {**camera, "dark_e_per_px": 0.3}
    pairs = [renderer.batch(step) for step in range(12)]
    assert torch.equal(pairs[0][1], clean_before)
    noisy, clean = (torch.cat([p[i] for p in pairs]).double().numpy() for i in (0, 1))
    drawn = noisy * 0.45 + 0.3
    assert np.abs(drawn - np.rint(drawn)).max() < 1e-5
    z = (noisy - clean) * 0.45 / np.sqrt(clean * 0.45 + 0.3)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs((z**2).mean() - 1) < 4 * np.sqrt((2 + 1 / 0.6) / z.size)


def test_doses_are_log_uniform_within_their_range(make):
    renderer = make(LIVELY, batch=16, crop_px=32)
    doses = []
    for step in range(20):
        for noisy in renderer.batch(step)[0]:
            levels = np.unique(noisy.numpy().round(6))
            doses.append(1 / levels[1])  # one electron is 1 / dose
    assert min(doses) >= 0.2 and max(doses) <= 1.5 * (1 + 1e-5)
    share = np.mean(np.array(doses) < np.sqrt(0.2 * 1.5))
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(len(doses))


@pytest.mark.parametrize("crop_px", [48, 200])
def test_crops_stay_in_the_region(make, crop_px):
    for step in range(4):
        y, _ = places(make, LIVELY, step, crop_px=crop_px, pool=1)
        assert y.min() > REGION_NM[0] - 1e-3
        assert y.max() < REGION_NM[1] + 1e-3


def test_crops_lie_everywhere_and_at_every_angle(make):
    angles, heights = [], []
    for step in range(25):
        y, x = places(make, LIVELY, step, batch=4, pool=1)
        dy = y[:, 1, 0] - y[:, 0, 0]  # one pixel down the crop
        dx = (x[:, 1, 0] - x[:, 0, 0] + 1.2) % 2.4 - 1.2
        pixel = np.hypot(dx, dy)
        assert np.all((pixel > 0.0061 * 0.949) & (pixel < 0.0061 * 1.051))
        angles += list(np.degrees(np.arctan2(dx, dy)))
        heights += list(y.mean(axis=(1, 2)))
    quarters = np.histogram(angles, bins=4, range=(-180, 180))[0]
    assert quarters.min() > 10
    assert min(heights) < 0.7 and max(heights) > 2.1


def test_small_rotations_are_kept_small(make):
    for step in range(6):
        y, x = places(make, {**STILL, "rotation_deg": 15.0}, step, pool=1)
        dx = (x[:, 1, 0] - x[:, 0, 0] + 1.2) % 2.4 - 1.2
        angle = np.degrees(np.arctan2(dx, y[:, 1, 0] - y[:, 0, 0]))
        assert np.abs(angle).max() < 15.2


def test_unrotated_crop_has_the_frames_pixels(make, phase_wave, cell_nm, optics, camera):
    lens = WaveOptics(cell_nm, optics, 300.0)
    pixel = camera["pixel_size_nm"]
    intensity = lens.intensity(lens.spectrum(phase_wave), 8.0)
    through = blur(lens.grid, cell_nm, camera, pixel)
    image = detected(intensity, through, camera["contrast_factor"])
    mirrored = 0
    for step in range(4):
        clean = make(STILL, pool=1).batch(step)[1].numpy()[:, 0]
        y, x = places(make, STILL, step, pool=1)
        for crop, rows, columns in zip(clean, y, x, strict=True):
            step_x = (columns[0, 1] - columns[0, 0] + 1.2) % 2.4 - 1.2
            if step_x < 0:
                crop, columns = crop[:, ::-1], columns[:, ::-1]
                mirrored += 1
            # The same pixels by exact Fourier summation, as for the evaluation frames.
            grid = PixelGrid(lens.grid, cell_nm, pixel, (rows[0, 0], columns[0, 0]), crop.shape,
                             tuple(2 * m for m in lens.cut))  # fmt: skip
            assert np.abs(grid.sample(image).numpy() - crop).max() < 1e-3
    assert 0 < mirrored < 12


def test_jitter_of_contrast_scales_about_the_vacuum(make, camera):
    plain = make(STILL, pool=1).image(0).numpy() - 1
    jittered = make({**STILL, "contrast_factor_jitter": 0.3}, pool=1)
    ratios = []
    for number in range(6):
        image = jittered.image(number).numpy() - 1
        ratio = (image * plain).sum() / (plain**2).sum()
        assert np.abs(image - ratio * plain).max() < 1e-5
        ratios.append(ratio)
    assert 0.7 <= min(ratios) < 0.95 and 1.05 < max(ratios) <= 1.3


OWN = {**STILL, "own_pixel_size_nm": 0.0183}


def test_crops_of_a_threefold_pixel_are_binned_poisson_counts(make, camera):
    """Whole electrons on each of the network's pixels, their variance their mean."""
    dose = 0.45 * 9
    renderer = make(OWN, batch=8, crop_px=48, pool=1)
    pairs = [renderer.batch(step) for step in range(8)]
    noisy, clean = (torch.cat([p[i] for p in pairs]).double().numpy() for i in (0, 1))
    counts = noisy * dose
    assert np.abs(counts - np.rint(counts)).max() < 1e-3
    # Expected is the mean over the nine pixels; the target is the image at their middle, with
    # which it shares its mean, and here its values to 1 %.
    z = (noisy - clean) / np.sqrt(clean / dose)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert (z**2).mean() == pytest.approx(1, abs=0.05)
    for side in (0, -1):  # as full as the inner ones
        assert noisy[..., side, :].mean() == pytest.approx(clean[..., side, :].mean(), abs=0.02)
        assert (z[..., side, :] ** 2).mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("own", [0.0122, 0.0183, 0.0049])
def test_an_own_pixel_shifts_nothing(make, own):
    """Of many electrons, the noisy crop is the clean one, at the same place."""
    settings = {**OWN, "own_pixel_size_nm": own, "dose_e_per_px": (3e4, 3e4), "rotation_deg": 40.0}
    noisy, clean = (
        x[:, 0].double().numpy() for x in make(settings, batch=4, pool=1, crop_px=64).batch(0)
    )
    for a, b in zip(noisy, clean, strict=True):
        product = np.conj(np.fft.fft2(b - b.mean())) * np.fft.fft2(a - a.mean())
        k = np.fft.fftfreq(64)
        low = np.hypot(k[:, None], k[None, :]) < 0.25
        turn = np.angle(product[low])
        ky, kx = (np.broadcast_to(f, (64, 64))[low] for f in (k[:, None], k[None, :]))
        weight = np.sqrt(np.abs(product[low]))
        design = -2 * np.pi * np.column_stack([ky, kx]) * weight[:, None]
        shift, *_ = np.linalg.lstsq(design, turn * weight, rcond=None)
        assert np.abs(shift).max() < 0.05
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97


def test_the_clean_crop_is_on_the_own_pixels(make):
    """Every third pixel of a native crop about the same middle."""
    y, x = places(make, OWN, 0, crop_px=40, pool=1)
    assert np.abs(np.diff(y[:, :, 0], axis=1)).mean() == pytest.approx(0.0183, rel=1e-3)
    dx = np.abs((np.diff(x[:, 0], axis=1) + 1.2) % 2.4 - 1.2)
    assert dx.mean() == pytest.approx(0.0183, rel=1e-2)


def test_half_of_the_crops_end_where_an_image_may_end(make):
    """Beyond the target's end the input is the vacuum's filling, before it nothing changes."""
    whole, ending = make(LIVELY), make(LIVELY, stride=16)
    sides = []
    for step in range(60):
        (noisy, clean), (other, target) = whole.batch(step), ending.batch(step)
        height, width = target.shape[-2:]
        sides.append((height, width))
        assert torch.equal(target, clean[..., :height, :width])
        assert torch.equal(other[..., :height, :width], noisy[..., :height, :width])
        assert (other[..., height:, :] == 1).all() and (other[..., width:] == 1).all()
    cut = [pair for pair in sides if pair != (48, 48)]
    assert 18 <= len(cut) <= 42  # half of 60, 3 standard deviations
    assert {height for height, _ in cut} | {width for _, width in cut} == set(range(33, 49))
    assert ending.batch(7)[1].shape == make(LIVELY, stride=16).batch(7)[1].shape
