"""A trained network as a denoiser."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch import nn

from lowdose.denoisers.contract import Denoiser, DenoiserInfo
from lowdose.denoisers.tiles import apply, chosen_device, device_name
from lowdose.runtime import UserError
from lowdose.sampling import PIXEL_TOLERANCE, resample_counts

LOGGER = logging.getLogger("lowdose.denoisers")


class LearnedDenoiser(Denoiser):
    """Applies a network to counts relative to the vacuum dose.

    Frames whose pixels differ by more than 5 % from the network's own are resampled to them
    (counts per area are kept), and the estimate is brought back by a cubic spline.

    Parameters
    ----------
    network : torch.nn.Module
        Maps relative counts (n, 1, y, x) to the relative expectation; has ``stride``.
    info : DenoiserInfo
        Operating range and receptive field.
    own_pixel_size_nm : float, optional
        Pixel size that the network is made for; by default the middle of its range.
    bf16 : bool
        Compute in bfloat16.
    device : {"auto", "cpu", "cuda"}
        "auto" takes CUDA where there is one.
    tile_px : int, optional
        Side of the largest square that the network gets at once [px of its own].
    **parameters
        Those named in `info`: ``orientations`` 8 gives the mean over the four rotations of the
        frame and of its mirror image, and takes eight times as long as the default 1.

    Raises
    ------
    UserError
        For a device that is not there or a parameter that is not possible.
    """

    def __init__(
        self,
        network: nn.Module,
        info: DenoiserInfo,
        *,
        own_pixel_size_nm: float | None = None,
        bf16: bool = False,
        device: str = "auto",
        tile_px: int | None = None,
        **parameters: Any,
    ) -> None:
        self.info = info
        super().__init__(**parameters)
        self.network, self.bf16, self.tile_px = network.eval(), bf16, tile_px
        self.device = chosen_device(device)
        self.own_pixel_size_nm = own_pixel_size_nm or sum(info.pixel_size_nm) / 2
        self._told = False

    def _denoise_stack(
        self, counts: np.ndarray, pixel_size_nm: float, vacuum: np.ndarray
    ) -> np.ndarray:
        self._check_pixel_size(pixel_size_nm)
        if not self._told:
            precision = "bfloat16" if self.bf16 else "float32"
            LOGGER.info("%s runs on %s in %s", self.info.name, device_name(self.device), precision)
            self._told = True
        # The stack is a copy of the caller's, which saves room for the result.
        for frame, dose in zip(counts, vacuum, strict=True):
            frame[:] = self._denoise_frame(frame, pixel_size_nm, float(dose))
        return counts

    def _denoise_frame(self, counts: np.ndarray, pixel_size_nm: float, vacuum: float) -> np.ndarray:
        if vacuum <= 0:  # a frame without a single electron: nothing is expected
            return np.zeros_like(counts)
        own = relative_on_own_pixels(counts, vacuum, pixel_size_nm, self.own_pixel_size_nm)
        mean, _ = self._answers(own, self.parameters.get("orientations", 1))
        return self._in_electrons(mean, own is not counts, counts.shape, pixel_size_nm, vacuum)

    def spread(self, counts: np.ndarray, pixel_size_nm: float) -> np.ndarray:
        """Return where the network disagrees with itself: its scatter over orientations.

        Parameters
        ----------
        counts : array (y, x)
            Electrons per pixel; not changed.
        pixel_size_nm : float

        Returns
        -------
        float32 array (y, x)
            Standard deviation of its answers to the frame in eight orientations [e/px]: a lower
            bound of what it does not know, for what all of its answers invent is not in it.
        """
        self._check_pixel_size(pixel_size_nm)
        vacuum = float(np.mean(counts, dtype=np.float64))
        if vacuum <= 0:
            return np.zeros(np.shape(counts), np.float32)
        copy = np.array(counts, dtype=np.float32)
        own = relative_on_own_pixels(copy, vacuum, pixel_size_nm, self.own_pixel_size_nm)
        _, spread = self._answers(own, 8, spread=True)
        return self._in_electrons(spread, own is not copy, copy.shape, pixel_size_nm, vacuum)

    def _answers(self, relative: np.ndarray, orientations: int, spread: bool = False):
        """Return mean and spread (y, x) over orientations, see :func:`oriented`."""
        mean, scatter = oriented(
            self.network,
            torch.from_numpy(relative)[None, None],
            orientations=orientations,
            spread=spread,
            bf16=self.bf16,
            device=self.device,
            tile_px=self.tile_px,
        )
        return mean[0, 0].numpy(), scatter[0, 0].numpy() if spread else None

    def _in_electrons(
        self, relative: np.ndarray, resampled: bool, shape: tuple[int, int], pixel_size_nm: float,
        vacuum: float,
    ) -> np.ndarray:  # fmt: skip
        """Return an image relative to vacuum on the frame's own pixels, in electrons."""
        if resampled:
            # Here: importing it is a tenth of the time that most frames wait for a network.
            from scipy import ndimage

            ratio = self.own_pixel_size_nm / pixel_size_nm
            # Pixel i of the frame lies at i / ratio: pixels 0 share their centre.
            relative = ndimage.affine_transform(
                relative, [1 / ratio] * 2, output_shape=shape, mode="mirror"
            )
            np.maximum(relative, 0, out=relative)
        relative *= np.float32(vacuum)
        return relative

    def _check_pixel_size(self, pixel_size_nm: float) -> None:
        low, high = self.info.pixel_size_nm
        # A card's range is rounded to 1e-6 nm.
        if not low - 1e-6 <= pixel_size_nm <= high + 1e-6:
            nearest = min(max(pixel_size_nm, low), high)
            raise UserError(
                f"The pixel size is {pixel_size_nm:g} nm, but {self.info.name} was trained for "
                f"{low:g} to {high:g} nm; bin or resample the counts to {nearest:g} nm."
            )


def relative_on_own_pixels(
    counts: np.ndarray, dose_e_per_px: float, pixel_size_nm: float, own_pixel_size_nm: float
) -> np.ndarray:
    """Return what a network is given of a frame: counts over dose on its own pixels.

    Parameters
    ----------
    counts : array (y, x), float32
        Electrons per pixel; divided in place and returned where the pixels are alike.
    dose_e_per_px : float
        In vacuum, on a pixel of `counts`.
    pixel_size_nm, own_pixel_size_nm : float
        Of `counts` and of the network [nm].

    Returns
    -------
    array (y', x'), float32, vacuum = 1
    """
    ratio = own_pixel_size_nm / pixel_size_nm
    if abs(1 / ratio - 1) > PIXEL_TOLERANCE:
        counts, _ = resample_counts(counts, pixel_size_nm, own_pixel_size_nm)
        dose_e_per_px = dose_e_per_px * ratio**2
    counts /= np.float32(dose_e_per_px)
    return counts


def oriented(
    network: nn.Module,
    relative: torch.Tensor,
    *,
    orientations: int = 1,
    spread: bool = False,
    bf16: bool = False,
    device: torch.device | None = None,
    tile_px: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Apply a network to an image in one or all eight orientations of the square.

    Physics has no preferred orientation; the average over the eight results has none either,
    and the network's errors that depend on the orientation average out.  A network that has
    only seen particles upright gains little, or loses: it is asked about sights that it does
    not know.

    Parameters
    ----------
    network, relative, bf16, device, tile_px
        As for :func:`lowdose.denoisers.tiles.apply`.
    orientations : {1, 8}
    spread : bool
        Also return how much the eight results differ.

    Returns
    -------
    mean : tensor (n, 1, y, x), float32
        Relative expectation.
    spread : tensor (n, 1, y, x), float32, or None
        Standard deviation over the orientations (of a sample: 7 degrees of freedom); None
        unless asked for.

    Raises
    ------
    UserError
        If the spread of a single orientation is asked for, or as for `apply`.
    """
    if spread and orientations == 1:
        raise UserError("The spread over orientations needs more than one; set orientations to 8.")
    mean = squares = None
    for number in range(orientations):
        turned = _turned(relative, number)
        back = _turned_back(apply(network, turned, bf16=bf16, device=device, tile_px=tile_px),
                            number)  # fmt: skip
        if mean is None:
            mean, squares = back, torch.zeros_like(back) if spread else None
            continue
        step = back - mean  # Welford's update, which keeps two images whatever the number
        mean = mean + step / (number + 1)
        if spread:
            squares += step * (back - mean)
    return mean, (squares / (orientations - 1)).sqrt() if spread else None


def _turned(image: torch.Tensor, number: int) -> torch.Tensor:
    """Return the image in orientation 0 to 7: mirrored from 4 on, then by quarter turns."""
    image = image.flip(-1) if number >= 4 else image
    return torch.rot90(image, number % 4, (-2, -1))


def _turned_back(image: torch.Tensor, number: int) -> torch.Tensor:
    image = torch.rot90(image, -(number % 4), (-2, -1))
    return image.flip(-1) if number >= 4 else image
