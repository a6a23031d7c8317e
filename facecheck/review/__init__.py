"""The moderator's desk over the output of a scan: every row, sorted, filtered and decided on, by hand and keyboard.

ledger of the scan -> table (SQLite, in a temporary file; verdicts under other thresholds by rules) -> server (127.0.0.1
only; pictures) -> static/. What people decide is in decisions, a ledger beside the output. summary is the same for
handing over: one page without a server.
"""
