"""What a person writes: its keys, their kinds, and what must hold between them."""
