"""Atomic scattering factors, from abTEM's tables."""

from __future__ import annotations

import os
import tempfile

# abTEM reads the user's own configuration when it is imported; the study must not depend on it.
os.environ["ABTEM_CONFIG"] = os.path.join(tempfile.gettempdir(), "lowdose-no-abtem-configuration")

from abtem.parametrizations import KirklandParametrization, LobatoParametrization, Parametrization

# Lobato and Van Dyck, Acta Cryst. A 70, 636 (2014); Kirkland, Advanced Computing in Electron
# Microscopy (2010), appendix C.
PARAMETRIZATIONS = {"lobato": LobatoParametrization, "kirkland": KirklandParametrization}


def parametrization_of(name: str, **arguments: object) -> Parametrization:
    """Return abTEM's parametrisation of a name."""
    return PARAMETRIZATIONS[name](**arguments)
