"""Whether real servers work: one module for each kind of check, and what decides when to ask and what to believe."""
