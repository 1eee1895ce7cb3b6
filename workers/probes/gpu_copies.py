"""Copy within an NVIDIA GPU's memory for a while and print how fast, as one JSON document.

Run as a program of its own (`python -I gpu_copies.py SECONDS`), since a driver that hangs, or a context that holds
hundreds of MiB of the GPU, must not stay with a worker. Standard library only: the driver's library is what every
machine with such a GPU has, CUDA's tools are not. The GPU is the first that CUDA_VISIBLE_DEVICES shows.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

MOST_BYTES = 1 << 30
LEAST_BYTES = 16 << 20
COPIES = 16


class Silent(Exception):
    """The driver refused; the text says what and why."""


def driver(name: str = "libcuda.so.1") -> ctypes.CDLL:
    """Load the driver's library. Raises Silent."""
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise Silent(str(error)) from None


def ask(library: ctypes.CDLL, function: str, *arguments: object) -> None:
    """Call a function of the driver. Raises Silent with the driver's own name of the fault."""
    code = getattr(library, function)(*arguments)
    if code:
        name = ctypes.c_char_p()
        library.cuGetErrorName(code, ctypes.byref(name))
        raise Silent(f"{function}: {(name.value or b'?').decode(errors='replace')} ({code})")


def copies(library: ctypes.CDLL, seconds: float) -> dict[str, int | float]:
    """Return `size_bytes` of one copy, how many `copies` there were, and the `seconds` they took by the GPU's clock.

    A buffer takes at most an eighth of what is free: workloads may be using the rest.
    """
    device, context = ctypes.c_int(), ctypes.c_void_p()
    ask(library, "cuInit", 0)
    ask(library, "cuDeviceGet", ctypes.byref(device), 0)
    ask(library, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    ask(library, "cuCtxSetCurrent", context)
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    ask(library, "cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    size = min(MOST_BYTES, free.value // 8)
    if size < LEAST_BYTES:
        raise Silent(f"only {free.value >> 20} MiB of the GPU's memory are free")
    source, target = ctypes.c_uint64(), ctypes.c_uint64()
    begin, end = ctypes.c_void_p(), ctypes.c_void_p()
    for pointer in (source, target):
        ask(library, "cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        ask(library, "cuMemsetD8_v2", pointer, ctypes.c_ubyte(1), ctypes.c_size_t(size))
    for event in (begin, end):
        ask(library, "cuEventCreate", ctypes.byref(event), 0)
    done, taken, last = 0, 0.0, time.perf_counter() + seconds
    elapsed = ctypes.c_float()
    warm = False
    while not done or time.perf_counter() < last:
        ask(library, "cuEventRecord", begin, None)
        for _ in range(COPIES):
            ask(library, "cuMemcpyDtoDAsync_v2", target, source, ctypes.c_size_t(size), None)
        ask(library, "cuEventRecord", end, None)
        ask(library, "cuEventSynchronize", end)
        ask(library, "cuEventElapsedTime", ctypes.byref(elapsed), begin, end)
        if warm:
            done, taken = done + COPIES, taken + elapsed.value / 1_000
        warm = True  # the clocks of an idle GPU are low during the first round
    return {"size_bytes": size, "copies": done, "seconds": taken}


def main() -> int:
    """Measure; the exit code is 1 and the reason on stderr where it cannot be done."""
    try:
        found = copies(driver(), float(sys.argv[1]))
    except Silent as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
