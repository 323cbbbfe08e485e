"""The state database: its tables, and the named queries on them. Flows decide inside one of its transactions."""
