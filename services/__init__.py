"""
The six services of the mesh, each a process of its own.
"""
