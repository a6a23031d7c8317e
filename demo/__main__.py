"""`python -m demo`."""

from facecheck.interrupts import run

if __name__ == "__main__":
    run("demo.cli", "python -m demo")
