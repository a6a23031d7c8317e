"""Faces to weights: train, resume, watch, and learn more later."""
