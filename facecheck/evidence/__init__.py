"""More than a score: does the answer survive delivery, where did the model look, how often is it wrong there."""
