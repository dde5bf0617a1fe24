"""
One way to tell people, one file, ending in `CHANNEL: Channel = <Name>()`; found by folder.
"""
