"""How to talk to each system: one folder a platform, with its client, what it reads and what it writes."""
