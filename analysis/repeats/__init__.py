"""Several runs of one plan as one measurement: merged distributions, and how much of what the runs differ by is noise within each."""
