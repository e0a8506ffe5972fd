"""Arrival number → prompt and lengths."""

from generator.workload.make import Prompt, Workload, make, too_short

__all__ = ["Prompt", "Workload", "make", "too_short"]
