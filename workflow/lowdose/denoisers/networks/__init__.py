"""Network architectures, one file each; `build` makes one from its configuration."""
