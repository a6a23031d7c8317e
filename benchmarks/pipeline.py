"""`python -m benchmarks.pipeline`: the naive stack against facecheck, side by side, from file bytes to verdict."""

import dataclasses
import json
import os
import platform
import re
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks import contests, engines, footprint, limits
from benchmarks.harness import Bench, NaiveStack, Part, table_of
from benchmarks.inputs import FULL, QUICK, USUAL, Inputs, make_inputs
from facecheck.checker import FaceChecker
from facecheck.engines import AUTO, PRECISIONS, is_cpu
from facecheck.engines.runtime import processors
from facecheck.errors import DeviceError
from facecheck.files import write_atomically

PARTS: dict[str, Callable[[Bench], Part]] = {
    "contests": contests.run_contests,
    "verdicts": contests.run_verdicts,
    "starts": footprint.run_starts,
    "limits": limits.run,
    "growth": limits.run_growth,
    "memory": footprint.run_memory,
    "scans": footprint.run_scans,
    "engines": engines.run,
    "launches": footprint.run_launches,
}
ON_GPU = ("launches",)
"""Parts that say nothing of a CPU."""


@click.command()
@click.option(
    "--photos",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("../shared/data/photos"),
    show_default=True,
    help="A folder of photos; without it, two portraits that come with matplotlib and scikit-image.",
)
@click.option(
    "--faces",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("../shared/data/faces"),
    show_default=True,
    help="Folders of pictures of faces; verdicts are compared on some of them, too.",
)
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write everything here, raw.")
@click.option("--part", "names", multiple=True, type=click.Choice(list(PARTS)), help="Only this; repeatable.")
@click.option("--rounds", type=click.IntRange(1), help="Counted rounds, after one to warm up.  [default: 5]")
@click.option(
    "--device", default="cpu", show_default=True, help="Where the networks of both stacks run: cpu, cuda, ..."
)
@click.option(
    "--precision", default=AUTO, show_default=True, type=click.Choice(PRECISIONS), help="Of facecheck's classifier."
)
@click.option("--quick", "size", flag_value="quick", help="Few small inputs: whether it works, no numbers to quote.")
@click.option("--full", "size", flag_value="full", help="Also 10,000 pictures.")
def main(
    photos: Path,
    faces: Path,
    out: Path | None,
    names: Sequence[str],
    rounds: int | None,
    device: str,
    precision: str,
    size: str | None,
) -> None:
    """Measure, and print tables as markdown. Keep the machine quiet meanwhile."""
    settings = {"quick": QUICK, "full": FULL, None: USUAL}[size]
    if rounds is not None:
        settings = dataclasses.replace(settings, rounds=rounds)
    checker = _checker(device, precision)
    machine = describe_machine(checker.classifier.choice.device)
    with tempfile.TemporaryDirectory(prefix="facecheck-benchmark-") as folder:
        inputs = make_inputs(photos, faces, Path(folder), settings)
        bench = Bench(NaiveStack(checker.classifier.choice.device), checker, inputs, settings, Path(folder))
        click.echo(_heading(machine, inputs, bench.checker))
        parts = {name: _measured(name, bench) for name in _parts(names, bench.device)}
    bars = table_of([bar for part in parts.values() for bar in part.bars()])
    click.echo(f"\n{bars}")
    if out is not None:
        results = {
            "machine": machine,
            "engine": str(bench.checker.classifier.choice),
            "settings": dataclasses.asdict(settings),
        }
        results |= {"inputs": _counts(inputs), "parts": {name: _raw(part) for name, part in parts.items()}}
        write_atomically(out, (json.dumps(results, indent=1) + "\n").encode())


def _checker(device: str, precision: str) -> FaceChecker:
    try:
        return FaceChecker(device=device, precision=precision)
    except DeviceError as error:
        raise click.BadParameter(str(error), param_hint="--device or --precision") from error


def _parts(names: Sequence[str], device: str) -> list[str]:
    """Those that were asked for, or all that say something of the device."""
    return [name for name in PARTS if name in names or not (names or (name in ON_GPU and is_cpu(device)))]


def _measured(name: str, bench: Bench) -> Part:
    click.echo(f"{name} ...", err=True)
    part = PARTS[name](bench)
    for table in part.tables():
        click.echo(f"\n{table}")
    return part


def _heading(machine: dict[str, Any], inputs: Inputs, checker: FaceChecker) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    chips = ", ".join(filter(None, (machine["gpu"], machine["cpu"], f"{machine['processors']} processors")))
    return (
        f"# facecheck against the naive stack\n\n{chips}, load before {machine['load_before'][0]:.2f}; "
        f"Python {machine['python']}, {packages}; facecheck runs on {checker.classifier.choice}. "
        f"Photos: {inputs.source}."
    )


def _counts(inputs: Inputs) -> dict[str, Any]:
    return {"source": inputs.source, "sets": {group.name: [path.name for path in group.paths] for group in inputs.sets}}


def _raw(part: Part) -> dict[str, Any]:
    """All that was measured, what was made of it, and the bars."""
    return {
        "raw": dataclasses.asdict(part),
        "tables": [dataclasses.asdict(table) for table in part.tables()],
        "bars": [dataclasses.asdict(bar) | {"reached": bar.reached} for bar in part.bars()],
    }


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


if __name__ == "__main__":
    main()
