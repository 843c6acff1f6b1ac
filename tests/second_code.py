"""A second multislice code: plain NumPy in double precision, sharing nothing with the package.

It is what the package's waves are tested against, so it has its own constants (CODATA 2022), its
own scattering factors (typed from their publications), its own structure factors (a direct sum
over the atoms), slices, propagator and orientation.  It takes plain arrays and imports NumPy
alone; ``lowdose shifted --second-code`` loads it by its path.
"""

from collections.abc import Mapping, Sequence

import numpy as np

PLANCK = 6.62607015e-34  # J s
CHARGE = 1.602176634e-19  # C
ELECTRON_MASS = 9.1093837139e-31  # kg
LIGHT_SPEED = 299792458.0  # m/s
OVERSAMPLING = 2  # of the grid on which the transmission is smeared
SYMBOLS = {6: "C", 8: "O", 22: "Ti", 58: "Ce", 78: "Pt", 79: "Au"}

# Lobato & Van Dyck, Acta Cryst. A70 (2014) 636: a_1 to a_5 [Å] and b_1 to b_5 [Å^2] of
# f(g) = sum a_i (2 + b_i g^2) / (1 + b_i g^2)^2, neutral atoms, g from 0 to 12 1/Å.
LOBATO = {
    "C": ((124.4660886213433, -220.3528570789638, 195.2353522804791, -98.10793612697997,
           1.420230412136232e-2),
          (2.421208492560056, 2.305379437524258, 2.048519321065642, 1.933525529175474,
           7.689768184783397e-2)),
    "O": ((29.94740452423624, -77.61012662552783, 99.88177646231442, -51.21270055056731,
           8.196189544460320e-3),
          (1.302839878800107, 1.157941052583095, 1.009885493380251, 0.9433279714332660,
           4.331976113218256e-2)),
    "Ti": ((8.575957752381299, -210.3315634653049, 206.0971726015414, 4.777739489772619e-2,
            5.057164844803206e-4),
           (6.007806688755818, 2.602858567452130, 2.553523450511056, 7.114294840241539e-2,
            4.856284393837261e-3)),
    "Ce": ((5.795268796472405, 2.370226641078433, 0.4713987569011149, 5.743682605878668e-2,
            2.189794892596593e-4),
           (14.28010550582560, 1.359690157191345, 0.3020173496635141, 3.664367981470077e-2,
            7.954345265183711e-4)),
    "Pt": ((2.040215639757283, 2.899226346248255, 0.6363440838157977, 1.320719195954083e-2,
            5.673821925001312e-5),
           (6.658194296096275, 1.413379237789324, 0.1740001045021790, 1.006878045302105e-2,
            4.030771056922231e-4)),
    "Au": ((1.675934670648708, 3.004866029697293, 0.5953400131616355, 1.171631866230948e-2,
            4.296782976398171e-5),
           (5.522310932114025, 1.380072230071963, 0.1622292376559454, 9.018148904165756e-3,
            3.792776674776671e-4)),
}  # fmt: skip
# Kirkland, Advanced Computing in Electron Microscopy (2010), appendix C: a_i [1/Å], b_i [1/Å^2],
# c_i [Å], d_i [Å^2] of f(g) = sum a_i / (g^2 + b_i) + sum c_i exp(-d_i g^2).
KIRKLAND = {
    "C": ((0.212080767, 0.199811865, 0.168254385), (0.208605417, 0.208610186, 5.57870773),
          (0.142048360, 0.363830672, 8.35012044e-4), (1.33311887, 3.80800263, 0.0403982620)),
    "O": ((0.339969204, 0.307570172, 0.130369072), (0.381570280, 0.381571436, 19.1919745),
          (0.0883326058, 0.196586700, 9.96220028e-4), (0.760635525, 2.07401094, 0.0303266869)),
    "Ti": ((0.362383267, 0.984232966, 0.741715642), (0.0754707114, 0.497757309, 8.17659391),
           (0.362555269, 1.49159390, 0.0161659509), (0.955524906, 16.2221677, 0.0733140839)),
    "Ce": ((3.22990759, 0.157618307, 2.13477838), (9.94660135, 0.0415378676, 0.240480572),
           (0.501907609, 3.80889010, 0.0596625028), (0.366252019, 24.3275968, 0.0659653503)),
    "Pt": ((0.984697940, 2.73987079, 3.61696715), (0.160910839, 0.718971667, 12.9281016),
           (0.302885602, 0.278370726, 0.0152124129), (0.170134854, 1.49862703, 0.0283510822)),
    "Au": ((0.961263398, 3.69581030, 2.77567491), (0.170932277, 12.9335319, 0.689997070),
           (0.295414176, 0.311475743, 0.0143237267), (0.163525510, 1.39200901, 0.0271265337)),
}  # fmt: skip


def wavelength_and_mass(energy_kev: float) -> tuple[float, float]:
    """Return an electron's wavelength [Å] and its mass over the rest mass."""
    kinetic = energy_kev * 1e3 * CHARGE
    rest = ELECTRON_MASS * LIGHT_SPEED**2
    momentum = np.sqrt(kinetic * (kinetic + 2 * rest)) / LIGHT_SPEED
    return 1e10 * PLANCK / momentum, 1 + kinetic / rest


def scattering_factor(symbol: str, g2: np.ndarray, parametrisation: str = "lobato") -> np.ndarray:
    """Return the electron scattering factor f [Å] of a neutral atom at g^2 [1/Å^2]."""
    g2 = np.asarray(g2, dtype=float)
    if parametrisation == "lobato":
        return sum(a * (2 + b * g2) / (1 + b * g2) ** 2
                   for a, b in zip(*LOBATO[symbol], strict=True))  # fmt: skip
    if parametrisation == "kirkland":
        return sum(a / (g2 + b) + c * np.exp(-d * g2)
                   for a, b, c, d in zip(*KIRKLAND[symbol], strict=True))  # fmt: skip
    raise ValueError(f"parametrisation is {parametrisation!r}; use 'lobato' or 'kirkland'.")


def exit_wave(
    numbers: Sequence[int],
    positions: np.ndarray,
    cell: Sequence[float],
    *,
    grid: int | tuple[int, int],
    slice_thickness: float,
    energy_kev: float,
    sigmas: Mapping[str, float],
    tilt_deg: tuple[float, float] = (0.0, 0.0),
    parametrisation: str = "lobato",
    thermal: str = "transmission",
) -> np.ndarray:
    """Simulate the exit wave of a structure in a periodic cell.

    A plane wave of amplitude 1 enters at z = 0 and is given at z = ``cell[2]``.  A plane of
    atoms multiplies it by ``exp(i sigma V)``, where ``sigma V`` has the Fourier coefficients
    ``m/m0 lambda/A sum_j f_j(k) exp(-2 pi i k r_j)`` (A: area of the cell).  Vibration smears
    what each element transmits, which is summed on a grid `OVERSAMPLING` times as fine, or
    (`thermal` "potential") ``sigma V`` itself, both by ``exp(-2 pi^2 u^2 k^2)``.
    Between planes it travels with the Fresnel propagator
    ``exp(-i pi lambda k^2 dz - 2 pi i dz k tan(tilt))``.  Both are cut at two thirds of the
    grid's highest frequency (Kirkland 2010, section 6).

    Parameters
    ----------
    numbers : sequence of int, shape (atoms,)
        Atomic numbers; C, O, Ti, Ce, Pt and Au are known.
    positions : array (atoms, 3)
        x right, y UP, z along the beam [Å].
    cell : (float, float, float)
        Width, height and depth of the cell [Å].
    grid : int or (int, int)
        Points of the wave along y and x.
    slice_thickness : float
        The cell is cut into equal slices of about this thickness, whose atoms scatter in the
        slice's middle [Å]; 0: every atomic plane scatters where it is.
    energy_kev : float
        Beam energy [keV].
    sigmas : mapping of str to float
        Rms thermal displacement along one axis by element symbol [Å]; missing: none.
    tilt_deg : (float, float)
        Tilts that carry columns along x and along y (up) on their way to the exit [degrees].
    parametrisation : {"lobato", "kirkland"}
    thermal : {"transmission", "potential"}
        What the thermal displacement smears.

    Returns
    -------
    array (y, x), complex128
        IMAGE orientation: row 0 at the upper edge of the cell, y downwards; the element
        [j, i] is the point x = i width / n_x, y = height - j height / n_y.
    """
    positions = np.asarray(positions, dtype=float).reshape(-1, 3)
    width, height, depth = (float(length) for length in cell)
    n_y, n_x = (grid, grid) if np.isscalar(grid) else grid
    k_y = np.fft.fftfreq(n_y, height / n_y)
    k_x = np.fft.fftfreq(n_x, width / n_x)
    k2 = k_y[:, None] ** 2 + k_x[None, :] ** 2
    passed_to = (2 / 3 * min(n_y / height, n_x / width) / 2) ** 2
    passed = k2 < passed_to
    wavelength, mass = wavelength_and_mass(energy_kev)
    symbols = np.array([SYMBOLS[int(number)] for number in numbers], dtype="U2")
    after = thermal == "transmission"
    finer = OVERSAMPLING if after else 1
    fine_y, fine_x = (np.fft.fftfreq(finer * n, length / (finer * n))
                      for n, length in ((n_y, height), (n_x, width)))  # fmt: skip
    fine2 = fine_y[:, None] ** 2 + fine_x[None, :] ** 2
    smear = {s: np.exp(-2 * np.pi**2 * sigmas.get(s, 0.0) ** 2 * fine2) for s in set(symbols)}
    profiles = {
        symbol: finer**2 * n_y * n_x * mass * wavelength / (width * height)
        * (fine2 < (finer * np.sqrt(passed_to)) ** 2)
        * scattering_factor(symbol, fine2, parametrisation) * (1 if after else smear[symbol])
        for symbol in np.unique(symbols)
    }  # fmt: skip
    rows, columns = height - positions[:, 1], positions[:, 0]
    # Rows run downwards, so a tilt that carries columns up carries them to lower rows.
    drift_x, drift_y = np.tan(np.deg2rad(tilt_deg)) * [1, -1]
    tilted = drift_y * k_y[:, None] + drift_x * k_x[None, :]
    phase_per_length = np.pi * (wavelength * k2 + 2 * tilted)
    if slice_thickness > 0:
        count = max(1, round(depth / slice_thickness))
        slab = np.clip((positions[:, 2] / depth * count).astype(int), 0, count - 1)
        places = (slab + 0.5) * depth / count
    else:
        places = np.round(positions[:, 2], 6)
    wave, reached = np.ones((n_y, n_x), dtype=complex), 0.0
    for place in np.unique(places):
        wave = _travel(wave, phase_per_length * (place - reached), passed)
        transmission = np.ones((n_y, n_x), dtype=complex)
        for symbol, profile in profiles.items():
            here = (places == place) & (symbols == symbol)
            if not here.any():
                continue
            left = np.exp(-2j * np.pi * np.outer(fine_y, rows[here]))
            right = np.exp(-2j * np.pi * np.outer(columns[here], fine_x))
            element = np.exp(1j * np.fft.ifft2(profile * (left @ right)).real)
            if after:
                element = _coarser(element, smear[symbol], (n_y, n_x))
            transmission *= element
        wave = wave * np.fft.ifft2(np.fft.fft2(transmission) * passed)
        reached = place
    return _travel(wave, phase_per_length * (depth - reached), passed)


def _coarser(fine: np.ndarray, factor: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Multiply the spectrum and keep the frequencies of a coarser grid."""
    spectrum = np.fft.fft2(fine, norm="forward") * factor
    for axis, n in enumerate(shape):
        spectrum = np.take(spectrum, np.r_[0 : (n + 1) // 2, -(n // 2) : 0], axis=axis)
    return np.fft.ifft2(spectrum, norm="forward")


def _travel(wave: np.ndarray, phase: np.ndarray, passed: np.ndarray) -> np.ndarray:
    return np.fft.ifft2(np.fft.fft2(wave) * passed * np.exp(-1j * phase))
