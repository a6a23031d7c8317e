"""Pretrained networks: rebuilt from packages of a registry, and read as frozen features."""
