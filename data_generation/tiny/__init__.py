"""facecheck/tiny-faces: a small unconditional face diffusion model, trained here, so that everything runs offline."""
