"""Estimate, reference → numbers: one task per file, as validate / metric / evaluate."""
