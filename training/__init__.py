"""How the default model was made: photos -> crops -> train -> calibrate -> evaluate -> weights."""
