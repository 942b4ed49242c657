"""Stage 5: carry a decision out. Message and decision in, the octets that may leave out; `apply` is where to begin."""
