"""The commands about files rather than faces: `facecheck provenance` and `facecheck formats`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from facecheck.cli.options import UNREADABLE, Command
from facecheck.files import printable


@click.command(
    cls=Command,
    examples={
        "facecheck provenance photo.jpg": "what a file says of its own origin",
        "facecheck provenance --trust c2pa-trust-list.pem *.jpg": "and whether the signers are on a list",
    },
)
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help="Certificates (PEM) of authorities whose signers are trusted, such as the C2PA trust list. None ships with "
    "facecheck: without it nobody vouches for any signer.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def provenance(files: Sequence[str], trust: Path | None, as_json: bool) -> None:
    """Print what FILES say of their own origin. No model is loaded, nothing is judged.

    Exit code: 0 whatever they say, 1 if a file could not be read, 2 for wrong usage.
    """
    from facecheck.errors import FacecheckError
    from facecheck.provenance.reader import provenance as read

    try:
        anchors = trust.read_text(encoding="ascii") if trust else None
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{str(trust)!r} cannot be read as PEM ({error})", param_hint="--trust") from error
    failed = False
    for name in files:
        try:
            found = read(name, trust_anchors=anchors)
        except FacecheckError as error:
            click.echo(printable(str(error)), err=True)
            failed = True
            continue
        if as_json:
            click.echo(json.dumps({"source": name} | found.to_dict()))
        else:
            lines = (f"{name}: {found.format or 'unknown'}", *found.sentences)
            click.echo("\n  ".join(map(printable, lines)))
    sys.exit(UNREADABLE if failed else 0)


@click.command(
    cls=Command,
    examples={
        "facecheck formats": "which files can be read here",
        "facecheck formats > formats.txt": "to send with a report of a file that cannot",
    },
)
def formats() -> None:
    """Print which formats of pictures can be read here, and what is missing for the others."""
    from facecheck.decoding import readable

    missing = 'no: pip install "facecheck[formats]"'
    for name, is_readable in readable().items():
        click.echo(f"{name:<9} {'yes' if is_readable else missing}")
