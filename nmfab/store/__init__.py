"""Artifacts on disk, their provenance, fingerprints of files."""
