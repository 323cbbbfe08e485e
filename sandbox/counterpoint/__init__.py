"""A Counterpoint to try things on: its tables, its REST server, a till, and staff."""
