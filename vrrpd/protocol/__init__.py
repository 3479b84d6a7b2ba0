"""VRRPv3 (RFC 9568) without input or output: the codec and the state machine of one virtual router."""
