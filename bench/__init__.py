"""Benchmarks: what is compared side by side, and the table that says so."""
