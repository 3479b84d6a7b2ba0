from tests.ipvs.inside import is_inside

collect_ignore = [] if is_inside() else ["on_kernel", "in_qemu"]
