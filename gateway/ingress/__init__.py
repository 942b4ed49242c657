"""Stage 1, accept: who may relay, what is refused at the door, durable hand-over before any 250."""
