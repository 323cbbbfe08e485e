"""The command line. It alone reads the configuration; everything else is given what it needs."""
