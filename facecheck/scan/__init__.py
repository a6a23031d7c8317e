"""Folders, lists and videos -> one row for each file, in a ledger that survives any interruption.

inputs -> ledger (what is finished already) -> reading (threads, ahead) -> judging -> ledger -> Parquet, summary
"""
