"""A worker's own: which arrival is due, what is sent for it, and when it is given up."""
