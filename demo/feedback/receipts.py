"""Receipt codes: what a visitor needs to delete their objection. Only a hash of them is stored."""

import hashlib
import secrets

# Crockford's base 32: no I, L, O, U.
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUPS, GROUP = 4, 4
READ_AS = str.maketrans("ILO", "110")


def new_receipt() -> str:
    """80 random bits as four groups of four letters, easy to copy by hand."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(GROUP)) for _ in range(GROUPS))


def fingerprint(receipt: str) -> str:
    """SHA-256 of a receipt, however it was typed: lower case, without hyphens, O for 0."""
    letters = receipt.upper().translate(READ_AS)
    return hashlib.sha256("".join(letter for letter in letters if letter in LETTERS).encode()).hexdigest()
