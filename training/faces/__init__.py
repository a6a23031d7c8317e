"""Photos to faces: recognise what is there, cut, group, split, and look for leaks."""
