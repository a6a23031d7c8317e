"""The command `facecheck explain`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from facecheck.cli import options
from facecheck.cli.options import UNREADABLE
from facecheck.cli.predict import opened
from facecheck.explain import wording
from facecheck.files import printable
from facecheck.settings import CheckerSettings


@click.command(
    cls=options.Command,
    groups={"What is written": ("output", "occlusion"), "How it is judged": options.MODEL_GROUP},
    examples={
        "facecheck explain photo.jpg -o report.html": "one page that needs nothing else",
        "facecheck explain photo.jpg -o report.html -o report.json": "and the same for programs",
    },
)
@click.argument("photo")
@click.option("-o", "--output", multiple=True, help="Where the report goes, as .html or .json; may be given twice.")
@click.option("--occlusion", is_flag=True, help="A second heat map for each face; takes 65 more looks at it.")
@options.runs_a_model
@options.max_fpr
def explain(photo: str, output: Sequence[str], occlusion: bool, chosen: CheckerSettings, max_fpr: float | None) -> None:
    """Judge PHOTO (or - for standard input) and write a case report: heat maps, stability, origin, limits.

    Exit code: 0 whatever the verdict, 1 if the picture could not be read (the report says why), 2 for wrong usage.
    """
    if wrong := [path for path in output if not path.endswith((".html", ".json"))]:
        raise click.BadParameter(f"{wrong[0]!r} ends neither in .html nor in .json", param_hint="--output")
    from facecheck.explain.explanation import explain as explained
    from facecheck.explain.heatmaps import GRAD_CAM, OCCLUSION
    from facecheck.files import write_atomically

    methods = (GRAD_CAM, OCCLUSION) if occlusion else (GRAD_CAM,)
    (source,) = opened([photo])
    found = explained(source, methods=methods, checker=chosen.checker(max_fpr=max_fpr))
    for path in output:
        page = found.to_html() if path.endswith(".html") else json.dumps(found.to_dict(), indent=2) + "\n"
        write_atomically(Path(path), page.encode("utf-8", "backslashreplace"))
    click.echo(f"{printable(found.prediction.source)}: {printable(wording.summary(found.prediction))}")
    sys.exit(UNREADABLE if found.prediction.error else 0)
