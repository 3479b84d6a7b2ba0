"""`global_defs`, and what else stands outside of instances and virtual servers."""

from vrrpd.config.keepalived.checks import FAILURES
from vrrpd.config.keepalived.programs import AS_VRRPD
from vrrpd.config.keepalived.routers import ANNOUNCED_AT_ONCE, GARP_DEFAULTS, HEARD_AT_ONCE
from vrrpd.config.keepalived.translation import NO_MAIL, NO_SNMP, Words, flag, refuse, remark, same, to, unless, when_on

_NO_DBUS = remark("vrrpd has no D-Bus; vrrpd status --json has the same")
_BUFFERS = remark("vrrpd sizes its buffers itself")
_AS_UNIT = remark("it is for vrrpd's systemd unit")
_NO_FIREWALL = remark("vrrpd sets such rules by itself where it needs them")
_NO_VMAC = remark("vrrpd has no virtual MAC")
_NO_FIFO = refuse(
    "vrrpd has no FIFO, and who reads it would hear nothing", "remove it, and use notify in each instance"
)
_OWN_RELOAD = remark("a reload of vrrpd checks the file first, and applies what has changed")
_NAMES = remark("vrrpd's processes have names of their own")
_DEFINITION = remark("it counts where something tracks it")
_HOSTS = ("it is for the host's own network configuration, and vrrpd would not add it", "move it there")
_NETWORK_NAMESPACE = refuse(
    "vrrpd runs where it is started", "remove it, and use NetworkNamespacePath= of its systemd unit"
)
_STARTED = refuse("vrrpd runs no program then", "remove it, and use ExecStartPre= or ExecStopPost= of its systemd unit")

GLOBAL_KEYS = ("realtime_priority", "memory_lock")
"""Those of the document that global_defs makes; the others are defaults of instances."""
GLOBAL: Words = {
    "vrrp_rt_priority": to("realtime_priority"),
    "vrrp_no_swap": to("memory_lock", flag),
    **{word: to(key) for word, key in GARP_DEFAULTS.items()},
    "vrrp_min_garp": to("vrrp_min_garp", flag),
    "vrrp_mcast_group4": unless(
        ("224.0.0.18",), refuse("adverts go to 224.0.0.18, as RFC 9568 has it", "remove it on all routers of the group")
    ),
    "vrrp_mcast_group6": unless(
        ("ff02::12", "ff02:0:0:0:0:0:0:12"),
        refuse("adverts go to ff02::12, as RFC 9568 has it", "remove it on all routers of the group"),
    ),
    "vrrp_down_timer_adverts": unless(
        ("3",), refuse("a master may miss three adverts, as RFC 9568 has it", "remove it on all routers of the group")
    ),
    "vrrp_strict": when_on(refuse("with it addresses answer nobody, which vrrpd cannot do", "remove it")),
    "vrrp_startup_delay": refuse(
        "vrrpd has no such delay", "remove it; ExecStartPre=sleep in its systemd unit may serve"
    ),
    # As to the version, see `vrrpd.config.keepalived.routers`.
    **dict.fromkeys(("vrrp_version", "vrrp_check_unicast_src", "dynamic_interfaces", "namespace_with_ipsets"), same),
    "enable_script_security": remark("vrrpd runs what it is told to, whoever may change it"),
    "script_user": unless(("root", "root root"), remark(AS_VRRPD)),
    **dict.fromkeys(
        (
            "router_id",
            "lvs_id",  # what it was called before
            "notification_email",
            "notification_email_from",
            "smtp_server",
            "smtp_helo_name",
            "smtp_connect_timeout",
            "smtp_alert",
            "smtp_alert_vrrp",
            "smtp_alert_checker",
            "no_email_faults",
            "no_checker_emails",
        ),
        NO_MAIL,
    ),
    **dict.fromkeys(
        (
            "snmp_socket",
            "enable_traps",
            "enable_snmp_vrrp",
            "enable_snmp_keepalived",
            "enable_snmp_checker",
            "enable_snmp_rfc",
            "enable_snmp_rfcv2",
            "enable_snmp_rfcv3",
        ),
        NO_SNMP,
    ),
    **dict.fromkeys(("enable_dbus", "dbus_service_name"), _NO_DBUS),
    **dict.fromkeys(
        (
            "vrrp_rx_bufs_policy",
            "vrrp_rx_bufs_multiplier",
            *(
                f"{what}_rcv_bufs{force}"
                for what in (
                    "vrrp_netlink_cmd",
                    "vrrp_netlink_monitor",
                    "lvs_netlink_cmd",
                    "lvs_netlink_monitor",
                    "process_monitor",
                )
                for force in ("", "_force")
            ),
        ),
        _BUFFERS,
    ),
    **dict.fromkeys(
        (
            "max_auto_priority",
            "min_auto_priority_delay",
            "umask",
            "child_wait_time",
            *(
                f"{process}_{what}"
                for process in ("vrrp", "checker", "bfd")
                for what in ("priority", "cpu_affinity", "rlimit_rttime", "rlimit_rtime")
            ),
            *(f"{process}_{what}" for process in ("checker", "bfd") for what in ("no_swap", "rt_priority")),
        ),
        _AS_UNIT,
    ),
    **dict.fromkeys(
        (
            "nftables",
            "nftables_priority",
            "nftables_counters",
            "nftables_ifindex",
            "vrrp_iptables",
            "vrrp_ipsets",
            "disable_local_igmp",
        ),
        _NO_FIREWALL,
    ),
    **dict.fromkeys(
        ("nftables_ipvs", "nftables_ipvs_priority", "nftables_ipvs_start_fwmark"),
        remark("each member of a group is a virtual server of its own"),
    ),
    **dict.fromkeys(("vmac_prefix", "vmac_addr_prefix"), _NO_VMAC),
    **dict.fromkeys(
        (
            "notify_fifo",
            "notify_fifo_script",
            "vrrp_notify_fifo",
            "vrrp_notify_fifo_script",
            "lvs_notify_fifo",
            "lvs_notify_fifo_script",
        ),
        _NO_FIFO,
    ),
    **dict.fromkeys(
        ("vrrp_notify_priority_changes", "fifo_write_vrrp_states_on_reload"),
        remark("it is for FIFOs, which vrrpd has none of"),
    ),
    **dict.fromkeys(
        ("reload_check_config", "reload_file", "config_save_dir", "tmp_config_directory", "data_use_instance"),
        _OWN_RELOAD,
    ),
    **dict.fromkeys(("reload_time_file", "reload_repeat"), remark("vrrpd reload, by a systemd timer, does the same")),
    "include_check": remark("a file that an include without wildcards names must be there"),
    "random_seed": remark("vrrpd has no ${_RANDOM}"),
    **dict.fromkeys(
        (
            "process_names",
            "process_name",
            "vrrp_process_name",
            "checker_process_name",
            "lvs_process_name",
            "bfd_process_name",
        ),
        _NAMES,
    ),
    **dict.fromkeys(("startup_script", "shutdown_script"), _STARTED),
    **dict.fromkeys(
        ("startup_script_timeout", "shutdown_script_timeout"), remark("it is for programs that vrrpd does not run")
    ),
    "checker_log_all_failures": FAILURES,
    "rs_init_notifies": remark("vrrpd has no such switch"),
    "log_unknown_vrids": remark("vrrpd sniff tells of other virtual routers"),
    "default_interface": remark("vrrpd has no static addresses, which it is for"),
    "lvs_sync_daemon": refuse(
        "vrrpd starts no sync daemon, without which connections are not known to the next master",
        "remove it, and call ipvsadm --start-daemon",
    ),
    "lvs_timeouts": refuse("vrrpd leaves the kernel's timeouts alone", "remove it, and call ipvsadm --set"),
    "lvs_flush": remark("vrrpd leaves alone what is not its own"),
    **dict.fromkeys(("lvs_flush_on_stop", "lvs_flush_onstop"), remark("vrrpd leaves alone what is not its own")),
    **dict.fromkeys(("vrrp_garp_lower_prio_delay", "vrrp_garp_lower_prio_repeat"), remark(ANNOUNCED_AT_ONCE)),
    **dict.fromkeys(("vrrp_garp_interval", "vrrp_gna_interval"), remark("vrrpd paces its announcements by itself")),
    "vrrp_garp_extra_if": remark("garp_master_refresh is for addresses on all interfaces"),
    "vrrp_lower_prio_no_advert": when_on(remark("a worse master is answered, as RFC 9568 has it")),
    "vrrp_higher_prio_send_advert": when_on(remark(HEARD_AT_ONCE)),
    "vrrp_skip_check_adv_addr": remark("an advert with another list of addresses is reported, and heard"),
}

ROOT: Words = {
    **dict.fromkeys(("net_namespace", "net_namespace_ipvs"), _NETWORK_NAMESPACE),
    "namespace_with_ipsets": same,
    "instance": remark("a second vrrpd on a host has a control_socket of its own"),
    "use_pid_dir": remark("vrrpd has no PID files"),
    "child_wait_time": _AS_UNIT,
    **dict.fromkeys(("linkbeat_use_polling", "linkbeat_interfaces"), remark("the kernel tells of links at once")),
    "garp_group": remark("vrrpd paces its announcements by itself"),
    "interface_up_down_delays": refuse(
        "vrrpd is in FAULT as soon as a link is down", "remove it; link_up_delay of vrrpd.toml is for the way back"
    ),
    **dict.fromkeys(
        ("vrrp_track_process", "track_file", "vrrp_track_file", "bfd_instance", "track_group"),
        _DEFINITION,
    ),
    "vrrp_sync_group": refuse(
        "vrrpd has no groups: each instance has its own election",
        "remove it, and track the interfaces of the others in each",
    ),
    **dict.fromkeys(("static_ipaddress", "static_routes", "static_rules"), refuse(*_HOSTS)),
    "SSL": refuse("vrrpd shows no certificate to real servers", "remove it"),
}
"""Blocks and words at the top, but for those that the document has tables for."""
