"""lowdose: neural denoising of atomic-resolution TEM images at ultra-low electron dose.

Rooms are floors of a house: a room imports only from lower floors (see
``tests/unit/test_imports.py``).  ``runtime``, ``provenance``, ``seeds``, ``config``,
``sampling`` and ``metrics`` are floor 0.
"""

__version__ = "0.1.0"
