"""Logits to decisions: temperature, thresholds, budgets, limits; on validation data only."""
