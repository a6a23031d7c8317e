"""The classifier: its config, its architectures, its files. Only `checkpoint` and `networks` load torch."""
