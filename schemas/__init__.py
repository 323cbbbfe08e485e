"""What is said on the topics: changes, commands, outcomes and requests as typed structs, and the map of the topics."""
