"""How loops over pixels are compiled, and the one source of chance in them.

No `fastmath`, one thread, no lock on the interpreter. Reference counts on arrays are switched off wherever a
kernel allocates nothing: numba counts on every call and slice, which made the same loops up to five times
slower. For the same reason kernels pass flat tables and index them cell by cell.

Compiled code is kept on disk and known by its own file's date alone: whoever edits a kernel that others call
touches or clears `__pycache__` too.
"""

from typing import Any

from numba import njit

_COMMON: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
_UNCOUNTED: dict[str, Any] = {**_COMMON, "_nrt": False}
_INLINED: dict[str, Any] = {**_UNCOUNTED, "forceinline": True}

kernel = njit(**_UNCOUNTED)
inlined = njit(**_INLINED)
kernel_that_allocates = njit(**_COMMON)


@kernel
def hashed(i, j, seed):
    """A number in [0, 1) for a cell."""
    h = (int(i) * 374761393 + int(j) * 668265263 + int(seed) * 974634777) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 1103515245) & 0xFFFFFFFF
    return (h ^ (h >> 16)) / 4294967296.0
