"""Make it so: commands are carried out at their target, looked for before they are tried again, and reported."""
