"""Arrival number → prompt and lengths."""

from generator.workload.make import Prompt, Workload, make, too_short
from generator.workload.sessions import Conversations, of_step

__all__ = ["Conversations", "Prompt", "Workload", "make", "of_step", "too_short"]
