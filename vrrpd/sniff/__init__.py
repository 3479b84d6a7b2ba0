"""`vrrpd sniff`: every virtual router that is heard on an interface, or in a capture file, and what is wrong with it.

`packets` says what one frame means, by the codec that the daemon has; `routers` keeps what was heard and finds
conflicts; `live` and `files` are where frames come from and go to; `view` shows it, `run` does it all. The benchmarks
read their captures with it.
"""
