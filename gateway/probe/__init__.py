"""Stage 3: what can this recipient receive? DNS, mail servers, their TLS, and the memory of what was seen before."""
