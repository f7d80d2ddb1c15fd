"""What is compiled for the CPU at hand: the sweep over V at β of 1 and 0."""
