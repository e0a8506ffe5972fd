"""Measurements of openloop against truths that it does not make itself. Each module runs as ``python -m benchmarks.NAME``."""
