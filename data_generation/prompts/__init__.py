"""Cells of the plan -> prose prompts, by templates or by a language model, into an append-only file."""
