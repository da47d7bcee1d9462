"""Benchmarks, one module each: `main(arguments)` measures and prints."""
