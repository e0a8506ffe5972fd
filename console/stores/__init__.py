"""Where finished runs are kept for others: PostgreSQL, SQLite, MongoDB, and Parquet in a folder or a bucket.

Each store holds the contract's tables under their own names, one row of ``runs`` for each run in front of them. What a store must
keep, whatever happens: a run is there whole, exactly once, or not at all.
"""
