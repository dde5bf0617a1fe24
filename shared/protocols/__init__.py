"""
One protocol, one file: how sure am I, mask, parse, frame. Pure, and found by the folder.
"""

from shared.protocols._base import Family, Parsed, WireProtocol
from shared.protocols._registry import family_of, mask, protocol_name, protocols, recognise

__all__ = ["Family", "Parsed", "WireProtocol", "family_of", "mask", "protocol_name", "protocols", "recognise"]
