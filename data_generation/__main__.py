"""`python -m data_generation`."""

from facecheck.interrupts import run

if __name__ == "__main__":
    run("data_generation.cli", "python -m data_generation")
