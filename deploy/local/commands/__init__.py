"""
The subcommands of `meshlens`, one file each.
"""
