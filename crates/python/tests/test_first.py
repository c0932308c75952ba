"""The shortest way through every layer."""

import pellucid
from pellucid import LanguageModel


def test_a_saved_value_takes_its_variable_when_the_trace_has_ended():
    model = LanguageModel("demo")
    with model.trace("The Eiffel Tower is in the city of"):
        hidden = model.transformer.h[1].output[0].save()
    assert isinstance(hidden, pellucid.Tensor)
    assert hidden.ndim == 3 and hidden.shape[0] == 1
    assert hidden.value is hidden
