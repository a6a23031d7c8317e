"""Synthetic faces on demand: a plan, prompts, Stable Diffusion, a gate, and a record of everything."""
