"""Clips: which files are some, their frames, the faces followed through them, and one verdict for each person.

containers (which files FFmpeg gets to see) -> frames (sampled, upright, within limits) -> tracker (one face through
many frames) -> tracks (the rule that makes one answer of them) -> judging (a `Prediction`, one face for each person)
"""
