"""Stage 2: what kind of message is it? Octets and envelope in, `MessageFacts` out; pure, bounded, never failing."""
