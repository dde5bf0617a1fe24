"""
The Python programs of the demo shop; each is run as a script of its own.
"""
