"""The features of the CPU. This module imports no torch."""

from __future__ import annotations

import platform
from pathlib import Path


def processor_flags() -> str:
    """The features of the processor, as Linux lists them. On other systems, its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def supports_bfloat16() -> bool:
    """True if the processor has instructions for bfloat16 products. Without them, bfloat16 is slower than float32."""
    return bool({"avx512_bf16", "amx_bf16"} & set(processor_flags().split()))
