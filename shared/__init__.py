"""
What the services agree on; no service knows another.
"""
