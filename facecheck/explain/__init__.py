"""More than a score: where did the model look, does the answer survive delivery, how often is it wrong there.

The public function is `facecheck.explain`; it stands in `facecheck.explain.explanation`.
"""
