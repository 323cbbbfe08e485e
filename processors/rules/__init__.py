"""The decisions, pure: facts in, a decision out. No clock, no database, no network."""
