"""`python -m facecheck`: the same as the command `facecheck`."""

from facecheck.cli import main

main()
