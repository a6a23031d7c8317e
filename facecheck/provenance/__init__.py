"""What a file says about its own origin: containers -> metadata blocks -> typed findings. No part of the pixel score.

The public function is `facecheck.provenance`; it stands in `facecheck.provenance.reader`.
"""
