"""Stage 6: hand the message over, on a connection that shows what the decision requires, or say why not."""
