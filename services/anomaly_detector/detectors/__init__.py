"""
One detector, one file, ending in `DETECTOR: Detector = <Name>()`; found by folder.
"""
