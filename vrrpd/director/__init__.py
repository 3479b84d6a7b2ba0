"""The director: virtual servers, the health of their real servers, and what of the host they need. Best effort."""
