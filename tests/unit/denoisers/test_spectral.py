"""The spectral gate: transforms against torch's, windows that leave no trace, peaks kept."""

import numpy as np
import pytest
import torch

from lowdose.denoisers.networks import residual, spectral
from lowdose.denoisers.networks.build import build
from lowdose.denoisers.networks.spectral import SpectralGate

GATED = {"architecture": "resunet", "stem": 2, "widths": [4, 6], "encoder_blocks": [1, 1],
         "decoder_blocks": [1], "padding": "zeros", "gates": [1, 1], "gate_window": 12,
         "gate_channels": 3}  # fmt: skip


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def open_gate(channels, window):
    """Return a gate whose gain is 1."""
    gate = SpectralGate(channels, window)
    with torch.no_grad():
        gate.gain.weight.zero_()
        gate.gain.bias.fill_(30)
    return gate


@pytest.mark.parametrize("window", [6, 12, 48])
@pytest.mark.parametrize("size", [(1, 1), (5, 70), (32, 32), (33, 47)], ids=str)
@torch.no_grad()
def test_an_open_gate_returns_the_image(size, window):
    x = normal(2, 3, *size)
    torch.testing.assert_close(open_gate(3, window)(x), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("window", [6, 12])
@torch.no_grad()
def test_the_spectrum_and_its_inverse_are_torchs(window, monkeypatch):
    """A gain that differs from frequency to frequency, applied by fast transforms instead."""
    gate, x, seen = SpectralGate(2, window), normal(1, 2, 2 * window, 3 * window), []
    half = window // 2 + 1

    def gain(real, minus_imaginary):
        seen.append([part.unflatten(2, (half, window)) for part in (real, minus_imaginary)])
        return drawn.flatten(2).expand(real.shape[0], -1, -1).contiguous()

    # A real image needs a gain that is even along x in the rows that are their own mirror images.
    drawn = torch.rand(1, 2, half, window, generator=torch.Generator().manual_seed(1))
    mirror = -torch.arange(window) % window
    drawn[:, :, [0, -1]] = (drawn[:, :, [0, -1]] + drawn[:, :, [0, -1]][..., mirror]) / 2
    monkeypatch.setattr(gate, "_gain", gain)
    result = gate(x)

    step, expected = window // 3, torch.zeros(2, 5 * window, 6 * window)
    padded = torch.zeros(2, 5 * window, 6 * window)
    padded[:, step : step + 2 * window, step : step + 3 * window] = x[0]
    ramp = np.sin(np.pi / 2 * (np.arange(step) + 0.5) / step)
    side = torch.tensor(np.concatenate([ramp, np.ones(step), ramp[::-1]]), dtype=torch.float32)
    taper, number = side[:, None] * side, 0
    whole = torch.cat([drawn[0], torch.zeros(2, window - half, window)], dim=1)
    for ky in range(half, window):  # the other half, by symmetry
        whole[:, ky] = drawn[0][:, window - ky][:, mirror]
    for row in range(0, 2 * window + step, 2 * step):
        for column in range(0, 3 * window + step, 2 * step):
            part = padded[:, row : row + window, column : column + window] * taper
            spectrum = torch.fft.fft2(part, norm="ortho")
            real, minus_imaginary = (parts[number] for parts in seen[0])
            torch.testing.assert_close(real, spectrum.real[:, :half], atol=1e-5, rtol=0)
            torch.testing.assert_close(minus_imaginary, -spectrum.imag[:, :half], atol=1e-5, rtol=0)
            filtered = torch.fft.ifft2(spectrum * whole, norm="ortho")
            assert filtered.imag.abs().max() < 1e-5
            expected[:, row : row + window, column : column + window] += filtered.real * taper
            number += 1
    assert number == len(seen[0][0])
    expected = expected[:, step : step + 2 * window, step : step + 3 * window]
    torch.testing.assert_close(result[0], expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_shift_by_the_grid_shifts_the_result():
    gate = SpectralGate(3, 12)
    assert gate.grid == 8
    x = normal(1, 3, 64, 80)
    moved = torch.roll(x, (8, 16), dims=(2, 3))
    inner = slice(24, 48)
    expected = torch.roll(gate(x), (8, 16), dims=(2, 3))[..., inner, inner]
    torch.testing.assert_close(gate(moved)[..., inner, inner], expected)
    # And one that is no multiple of it does not, or the test would be empty.
    moved = torch.roll(x, (3, 0), dims=(2, 3))
    other = torch.roll(gate(x), (3, 0), dims=(2, 3))[..., inner, inner]
    assert (gate(moved)[..., inner, inner] - other).abs().max() > 1e-3


@torch.no_grad()
def test_a_threshold_on_the_power_finds_a_lattice_that_no_pixel_shows():
    """A hand-made gain: what is 10 times the noise passes.  Known answer: Wiener's filter."""
    gate, side = SpectralGate(1, 48), 96
    y, x = np.mgrid[:side, :side]
    lattice = 0.6 * np.cos(2 * np.pi * (5 * x + 3 * y) / 48) + 0.6 * np.cos(2 * np.pi * 7 * y / 48)
    noisy = lattice + np.random.default_rng(0).normal(size=lattice.shape)
    for convolution in (gate.hidden, gate.gain):
        convolution.weight.fill_(1)
        convolution.bias.zero_()
    gate.neighbours.weight.zero_()
    gate.neighbours.bias.zero_()
    gate.hidden.bias.fill_(-np.log(10.0))
    gate.gain.weight.fill_(20)
    gate.gain.bias.fill_(-5)
    found = gate(torch.from_numpy(noisy).float()[None, None])[0, 0].numpy()
    inner = np.s_[16:-16, 16:-16]
    before, after = (np.mean((image - lattice)[inner] ** 2) for image in (noisy, found))
    assert before == pytest.approx(1, abs=0.1)
    # Four peaks of 2304 frequencies, each spread over a few by the taper.
    assert after < 0.04


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("bf16", [False, True])
@torch.no_grad()
def test_strips_give_the_whole(bf16, mask, monkeypatch):
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=bf16)
    network = build({**GATED, "gate_mask": mask}, seed=0)
    for parameter in network.parameters():
        parameter.add_(0.1 * normal(*parameter.shape, seed=parameter.numel()))
    x = 1 + normal(2, 1, 204, 100)
    with autocast:
        whole = network(x)
    strips = residual.Residual.strips
    monkeypatch.setattr(residual, "STRIP_PIXELS", 300)
    monkeypatch.setattr(spectral, "WINDOWS_AT_ONCE", 7)
    assert len(strips(network.encoder[0][0], 102, 50)) > 3
    with autocast:
        found = network(x)
    # In bfloat16 one value that is rounded otherwise would show, so it must be the same to the bit.
    torch.testing.assert_close(found, whole, rtol=0, atol=0 if bf16 else 1e-5)
    # The rows that a strip looks beyond itself are needed, or this test could not fail.
    monkeypatch.setattr(
        residual.Residual,
        "strips",
        lambda self, *size: [(a, b, a, b) for a, b, _, _ in strips(self, *size)],
    )
    assert (network(x) - whole).abs().max() > 1e-3


def test_training_needs_no_strips(monkeypatch):
    network = build(GATED, seed=0).train()
    monkeypatch.setattr(residual.Residual, "strips", lambda self, *size: pytest.fail("in strips"))
    torch.nn.init.ones_(network.exit[0].weight)  # zero at first, and no gradient behind it
    network(1 + normal(1, 1, 32, 32)).sum().backward()
    assert network.encoder[1][-1].branch[-1].weight.grad.abs().max() > 0


@pytest.mark.parametrize(("ways", "places"), [("both", (2, 1)), ("down", (2, 0)), ("up", (0, 1))])
def test_gates_stand_on_the_ways_that_are_asked(ways, places):
    network = build({**GATED, "gate_ways": ways}, seed=0)
    found = [
        sum(isinstance(one, SpectralGate) for one in part.modules())
        for part in (network.encoder, network.decoder)
    ]
    assert tuple(found) == places
    # Windows on the lowest level, if any, decide the grid: 12 px of 2 x 2 x stem pixels.
    assert network.grid == GATED["stem"] * 8 * (1 if ways == "up" else 2)


def test_where_the_image_says_so_a_gate_adds_nothing():
    block = residual.gate(2, 3, 12, mask=True)
    torch.nn.init.normal_(block.starts_at_zero.weight)
    torch.nn.init.zeros_(block.starts_at_zero.bias)
    weighed = block.branch[1]
    torch.nn.init.zeros_(weighed.weight.weight)
    x = normal(1, 2, 24, 24)
    torch.nn.init.constant_(weighed.weight.bias, 30)
    plain = block(x) - x
    torch.nn.init.constant_(weighed.weight.bias, -30)
    torch.testing.assert_close(block(x), x)
    torch.nn.init.zeros_(weighed.weight.bias)
    torch.testing.assert_close(block(x) - x, plain / 2)
    assert plain.abs().max() > 0.01


def test_gates_are_counted_and_windows_checked():
    with pytest.raises(ValueError, match=r"2 widths need 2 gates, but gates has 1"):
        build({**GATED, "gates": [1]}, seed=0)
    with pytest.raises(ValueError, match="multiple of 6"):
        build({**GATED, "gate_window": 16}, seed=0)
