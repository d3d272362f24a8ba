"""How fast the engine is, against plain C of the same model and against others: ``python -m benchmarks``."""
