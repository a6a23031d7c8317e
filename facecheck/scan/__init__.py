"""Folders, lists and videos -> one row for each file, in a ledger that survives any interruption.

inputs -> scanner (what the ledger does not hold already; threads work ahead) -> judging -> rows -> ledger; afterwards
ledger -> tables, and facecheck.review. cluster and dataset are the same work on Ray.
"""
