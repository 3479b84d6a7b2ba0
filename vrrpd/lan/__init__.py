"""Hosts on a LAN: network namespaces on a bridge, for the demo, the tests and the benchmark harness.

    from vrrpd.lan.namespace import enter_user_namespace_if_needed
    from vrrpd.lan.hosts import Lan
    from vrrpd.lan.probe import Prober
    from vrrpd.lan.capture import Capture

    enter_user_namespace_if_needed()                   # nothing to do for root; else needs a single-threaded process
    with Lan() as lan:                                 # 192.0.2.0/24 and 2001:db8::/64 on one bridge
        router, client = lan.host("r1"), lan.host("client")         # .1 and .2, 2001:db8::1 and ::2
        daemon = router.popen(["vrrpd", "run", "-c", "r1.toml"])    # dies with this process
        with Capture(lan) as capture, Prober(client, "192.0.2.100") as prober:
            prober.wait_answered(timeout=5)
            capture.wait_for(lambda frame: frame.is_advert, timeout=5)
            router.silence()                           # or cut_carrier, deafen, mute, remove_interface
            ...
        result = prober.result()                       # .probes, .lost, .outages()

A `Host` is a network namespace, a mount namespace with an empty /run, and one thread that lives in both; `host.call`
runs a function there, `host.popen` a program, `with host.entered():` moves the calling thread's network. Namespaces
have no name: threads and file descriptors hold them, so the kernel removes namespace, interfaces and addresses when
the owning process dies, by whatever signal. Programs get SIGKILL from the kernel at that moment.

Every time is `time.monotonic()` seconds. `vrrpd.lan.probe` and `vrrpd.lan.capture` do not import pyroute2.
"""
