"""Sections of the configuration that the tests of atoms share."""

import pytest

from lowdose.config_world import Structures


@pytest.fixture(scope="session")
def section(library) -> dict:
    """The paper's section ``structures``, complete: platinum on ceria."""
    return Structures.model_validate(library).model_dump()


@pytest.fixture(scope="session")
def gold(section) -> dict:
    """Gold on rutile, as config/au-tio2.yaml has it."""
    return {
        **section,
        "particle_element": "Au",
        "particle_lattice_nm": 0.4078,
        "support_structure": "rutile",
        "support_cation": "Ti",
        "support_lattice_nm": 0.4594,
        "support_c_nm": 0.2959,
        "interface_gap_nm": 0.21,
    }
