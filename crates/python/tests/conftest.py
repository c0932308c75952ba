"""What all tests share."""

import pytest

import pellucid


@pytest.fixture(scope="session")
def model():
    return pellucid.LanguageModel("demo")


@pytest.fixture
def prompt():
    return "The Eiffel Tower is in the city of"


@pytest.fixture(autouse=True)
def nothing_stays_open():
    yield
    assert pellucid.current() is None
