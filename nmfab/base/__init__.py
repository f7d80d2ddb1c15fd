"""What every other part of nmfab may import: errors, values, registries, types, resources.

Nothing here touches a disk on import, reads the clock, the command line or global random state.
"""
