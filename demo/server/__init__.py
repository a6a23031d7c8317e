"""Between the network and facecheck: the API, the limits, one checker for all visitors, and their uploads."""
