"""pyroute2's message classes, without the rest of pyroute2.

Importing the package `pyroute2` loads everything in it: 210 ms and 24 MB, where these classes need 12 ms and 2 MB. A
speaker that must advertise 150 ms after it was started cannot wait for that. So the package is entered by its path,
and its own `__init__` runs only when somebody asks it for a name.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


class _DeferredPackage(ModuleType):
    """A package whose submodules can be imported before its `__init__` has run."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(name)
        submodule = f"{self.__name__}.{name}"
        if importlib.util.find_spec(submodule) is not None:  # as `from package import submodule` finds it
            return importlib.import_module(submodule)
        self.__class__ = ModuleType  # type: ignore[assignment] # run __init__ once, whatever comes of it
        spec.loader.exec_module(self)
        return getattr(self, name)


def _enter(name: str) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{name} is not installed; install vrrpd with its dependencies")
    package = _DeferredPackage(name)
    package.__spec__ = spec
    package.__path__ = spec.submodule_search_locations
    package.__file__ = spec.origin
    sys.modules[name] = package


if "pyroute2" not in sys.modules:
    _enter("pyroute2")

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: E402
from pyroute2.protocols import ethmsg, msg  # noqa: E402

__all__ = ["ethmsg", "ifaddrmsg", "msg"]
