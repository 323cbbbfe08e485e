"""What producers, processors and consumers share: configuration, Kafka, clock, errors, metrics, log, command line."""
