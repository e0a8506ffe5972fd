"""Facts on their way to Parquet: rows, their recorder process, and the sealing of a run."""
