"""Recipes -> images: any diffusers pipeline, one seeded generator for each image."""
