"""Plans, factors, settings and selectors."""
