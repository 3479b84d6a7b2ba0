from tests.peers import network, pytest_runtest_makereport

__all__ = ["network", "pytest_runtest_makereport"]
