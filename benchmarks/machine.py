"""What the numbers were measured on."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from facecheck.engines import is_cpu
from facecheck.engines.runtime import processors

PACKAGES = ("facecheck", "facenet-pytorch", "numpy", "opencv-python", "openvino", "pillow", "torch", "torchvision")
CPU_INFO = Path("/proc/cpuinfo")


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """Processor, GPU if the device is one, threads, memory, load before the run, versions."""
    return {
        "gpu": None if is_cpu(device) else torch.cuda.get_device_name(device),
        "cpu": _cpu(),
        "processors": processors(),
        "torch_threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_before": os.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    text = CPU_INFO.read_text() if CPU_INFO.is_file() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
