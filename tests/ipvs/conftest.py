from tests.ipvs.inside import is_inside

collect_ignore = [] if is_inside() else ["on_kernel", "with_traffic", "in_qemu"]
