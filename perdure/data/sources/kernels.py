"""How the playground's loops are compiled.

No `fastmath`, one thread, no lock on the interpreter. Reference counts on arrays are switched off wherever a
kernel allocates nothing: numba counts on every call and slice, which made the same loops up to five times
slower. For the same reason kernels pass flat tables and index them cell by cell.
"""

from numba import njit

kernel = njit(nogil=True, cache=True, error_model="numpy", _nrt=False)
inlined = njit(nogil=True, cache=True, error_model="numpy", _nrt=False, forceinline=True)
kernel_that_allocates = njit(nogil=True, cache=True, error_model="numpy")
