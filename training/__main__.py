"""`python -m training`."""

from facecheck.interrupts import run

if __name__ == "__main__":
    run("training.cli", "python -m training")
