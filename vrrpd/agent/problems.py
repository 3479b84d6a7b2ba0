"""What is wrong with Kubernetes objects, told to people: in the log, and as Events."""

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One thing that is not done as asked; everything else goes on."""

    where: str
    """The object, such as `ConfigMap default/vip-configmap`."""
    key: str
    """The part of it that is wrong; empty: all of it."""
    wrong: str
    remedy: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.where}: {key}{self.wrong}; {self.remedy}"
