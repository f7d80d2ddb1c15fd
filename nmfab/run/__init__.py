"""Settings on tracks: nodes, jobs, timing and explanations."""
