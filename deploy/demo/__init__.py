"""
The demo: a small shop of real programs in network namespaces of its own, under load, with faults to switch on.
"""
