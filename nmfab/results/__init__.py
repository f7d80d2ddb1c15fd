"""Scores, summaries, comparisons and published figures."""
