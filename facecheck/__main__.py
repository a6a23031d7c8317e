"""`python -m facecheck`, and the command `facecheck`."""

from facecheck.interrupts import run


def main() -> None:
    """Run the command."""
    run("facecheck.cli", "facecheck")


if __name__ == "__main__":
    main()
