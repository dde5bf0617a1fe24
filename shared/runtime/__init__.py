"""
The only input and output in shared: the bus, the database, settings, logs, health, the life of a process.
"""
