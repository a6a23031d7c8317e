"""What training never saw: leave one out, leave something out, take data away."""
