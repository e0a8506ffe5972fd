"""Scenario → plan: what will be sent, what that needs and costs, and what to warn of. Nothing is sent here."""
