"""NCR Counterpoint: its REST server and its SQL Server tables."""
