"""What changed there? Each source is read by one loop, which publishes and moves its cursor in turn."""
