"""Side-by-side timings, one command each; no part of the installed package."""
