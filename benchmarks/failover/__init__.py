"""Any VRRP speaker under the same faults, measured from the outside: what clients lose, and what the link is told.

`speakers` are what is measured, `faults` what befalls them, `arena` where it happens, `measure` what one run comes to,
`campaign` all runs in their order, `results` the file that they are kept in, and `cells`, `plots`, `report` and
`markdown` what is made of that file. docs/benchmarking.md says what the figures mean.
"""
