"""Values without PyTorch."""

import copy
import pickle

import pytest

import pellucid
from pellucid import tensor


def test_numbers_go_in_and_come_out():
    x = tensor([[1.0, 2.0], [3.0, 4.5]])
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.5]]
    assert x.shape == (2, 2) and x.dtype == pellucid.float32 and len(x) == 2
    assert tensor([1, 2]).dtype == pellucid.int64 and tensor(True).item() is True


def test_operations_run_at_once_with_pytorchs_meaning():
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert (x * 2 + 1).tolist() == [[3.0, 5.0], [7.0, 9.0]]
    assert (1 - x)[0].tolist() == [0.0, -1.0]
    assert x.sum(0).tolist() == [4.0, 6.0] and x.mean() == 2.5
    assert (x @ x).tolist() == [[7.0, 10.0], [15.0, 22.0]]
    assert x.T[0].tolist() == [1.0, 3.0]
    assert x.max(1).indices.tolist() == [1, 1] and tuple(x.topk(1)[0][0].tolist()) == (2.0,)
    assert (x > 2).tolist() == [[False, False], [True, True]]
    assert x.float().softmax(-1).sum().item() == pytest.approx(2.0)
    assert [row.tolist() for row in x] == x.tolist()
    assert 3.0 in x and 9.0 not in x


def test_writes_change_the_tensor():
    x = tensor([1.0, 2.0, 3.0])
    x[0] = 9
    assert x.add_(1) is x
    assert x.tolist() == [10.0, 3.0, 4.0]
    x += 1
    assert x.tolist() == [11.0, 4.0, 5.0]


def test_mistakes_are_of_pytorchs_kinds():
    x = tensor([1.0, 2.0])
    with pytest.raises(IndexError, match="out of bounds"):
        x[5]
    with pytest.raises(RuntimeError):
        x @ tensor([1.0, 2.0, 3.0])
    with pytest.raises(AttributeError):
        x.no_such_method
    with pytest.raises(TypeError):
        x + object()


def test_texts_show_the_elements():
    assert repr(tensor([[1, 2], [3, 4]])) == "tensor([[1, 2],\n        [3, 4]])"
    assert repr(tensor(1.5)) == "tensor(1.5000)"
    assert "..." in repr(tensor(list(range(2000))))
    assert f"{tensor(1.23456):.2f}" == "1.23"


def test_copies_and_pickles_are_equal():
    x = tensor([[1.0, 2.0]])
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.tolist() == x.tolist() and other is not x


def test_numpy_shares_what_it_may_not_write_and_copies_what_it_may():
    numpy = pytest.importorskip("numpy")
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    view = numpy.asarray(x)
    assert view.tolist() == x.tolist() and not view.flags.writeable
    own = x.numpy()
    own[0, 0] = 7
    assert x[0, 0] == 1
    assert (x + numpy.ones((2, 2), dtype="float32")).tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert numpy.from_dlpack(x).tolist() == x.tolist()
    assert tensor(numpy.arange(3)).dtype == pellucid.int64


def test_the_tokenizer_speaks_as_hugging_faces(model):
    tokenizer = model.tokenizer
    ids = tokenizer.encode("The Eiffel Tower")
    assert tokenizer.decode(ids) == "The Eiffel Tower"
    assert tokenizer("The Eiffel Tower")["input_ids"] == ids
    batch = tokenizer(["The", "The Eiffel Tower"], return_tensors="pt", padding=True)
    assert batch.input_ids.shape == batch["attention_mask"].shape
    assert batch["attention_mask"][0].tolist()[0] == 0
    assert tokenizer.batch_decode([[ids[0]], ids])[1] == "The Eiffel Tower"
    assert len(tokenizer.tokenize("The Eiffel Tower")) == len(ids)
    assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize("The Eiffel Tower")) == ids
    assert tokenizer.padding_side == "left" and tokenizer.pad_token_id is not None


def test_the_configuration_answers_to_other_families_names(model):
    config = model.config
    assert config.n_layer == config.num_hidden_layers == 6
    assert config.hidden_size == 128 and config.model_type == "gpt2"
    with pytest.raises(AttributeError):
        config.no_such_thing
