"""The targets' own figures, read by a process of its own while a run lasts."""
