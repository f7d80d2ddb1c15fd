"""Summary → terminal and csv."""
