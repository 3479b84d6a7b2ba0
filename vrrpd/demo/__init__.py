"""`vrrpd demo`: real routers and a client in network namespaces, faults one after the other, the outage measured.

`faults` says what can be inflicted and what is promised, `run` does it and measures, `view` shows it while it happens,
`report` sums it up.
"""
