"""
The asyncio shell of probe-manager: each tick it takes the kernel's aggregates, publishes them, and only then lets go.
"""
