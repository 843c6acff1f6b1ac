"""From atoms to expected counts: exit waves (abTEM), wave store, optics, camera."""
