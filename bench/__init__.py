"""Measures Sealgate beside real peers on one machine; `./dev bench`. How and what it means: docs/benchmarks.md."""
