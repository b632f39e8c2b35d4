"""The painter: scenes drawn by casting rays, with depth and an entity map, on one core and without GL."""

import os
import tempfile
from pathlib import Path

from numba.core import config

# Compiled kernels are kept beside the code; a read-only install needs another place for them.
if not os.access(Path(__file__).parent, os.W_OK):
    setattr(config, "CACHE_DIR", str(Path(tempfile.gettempdir()) / f"perdure-numba-{os.getuid()}"))  # noqa: B010
