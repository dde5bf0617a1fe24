"""
One protocol, one file: how sure am I, mask, parse, frame. Pure, and found by the folder.
"""

from shared.protocols._base import Parsed, WireProtocol
from shared.protocols._registry import mask, protocol_name, protocols, recognise

__all__ = ["Parsed", "WireProtocol", "mask", "protocol_name", "protocols", "recognise"]
