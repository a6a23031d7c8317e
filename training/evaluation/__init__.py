"""Weights to numbers: whole pipeline, delivery tiers, robustness, comparison, reports."""
