"""The Reality Check page: where a person brings a doubt. `python -m demo` starts it."""
