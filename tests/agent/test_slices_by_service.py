"""Slices are put to their services, whatever becomes of them, and what has not changed is the same object."""

from hypothesis import given
from hypothesis import strategies as st

from vrrpd.agent.objects import Endpoint, EndpointSlice, Name
from vrrpd.agent.observer import SlicesByService

Objects = dict[Name, tuple[EndpointSlice, ...]]

NAMES = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["s1", "s2", "s3"]))
OWNERS = st.lists(st.tuples(st.sampled_from(["web", "db"]), st.integers(1, 2)), max_size=2)
"""The services of what one object has, none if it is of no service, and the last octet of an endpoint each."""
CLUSTERS = st.dictionaries(NAMES, OWNERS, max_size=5)


def read(name: Name, owners: list[tuple[str, int]]) -> tuple[EndpointSlice, ...]:
    return tuple(
        EndpointSlice((name[0], f"{name[1]}/{number}"), service, (), (Endpoint(f"198.51.100.{last}"),))
        for number, (service, last) in enumerate(owners)
    )


@given(st.lists(CLUSTERS, min_size=1, max_size=5))
def test_after_any_changes_it_is_as_if_made_anew(clusters: list[dict[Name, list[tuple[str, int]]]]) -> None:
    by_service = SlicesByService()
    objects: Objects = {}
    before: dict[Name, tuple[EndpointSlice, ...]] = {}
    for cluster in clusters:
        new = {name: read(name, owners) for name, owners in cluster.items()}
        # As a reflector has it: what is equal is the same object.
        objects = {name: objects[name] if objects.get(name) == each else each for name, each in new.items()}
        found = dict(by_service.after(objects))
        assert found == SlicesByService().after(new)
        assert {one.name for group in found.values() for one in group} == {
            one.name for each in new.values() for one in each
        }
        assert all((one.name[0], one.service) == service for service, group in found.items() for one in group)
        assert all([one.name for one in group] == sorted(one.name for one in group) for group in found.values())
        assert all(found[service] is group for service, group in before.items() if found.get(service) == group)
        before = found
