"""What follows from a change: the mirror, the rules, what is wanted, and the gate that lets it out."""
