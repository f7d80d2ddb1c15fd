"""The command lines: doce's letters for an experiment, and the tool ``nmfab``."""
