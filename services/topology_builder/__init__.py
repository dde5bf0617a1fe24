"""
topology-builder: from the series of kernels to the map of services.
"""
