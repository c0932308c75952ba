"""Tokenizers, with the methods of Hugging Face's."""

import json

from . import _hooks
from ._tensor import call_op

__all__ = ["BatchEncoding", "Tokenizer"]


class BatchEncoding(dict):
    """What a tokenizer makes of texts, by key and by attribute."""

    def __getattr__(self, name):
        if name in self:
            return self[name]
        raise AttributeError(name)

    def to(self, *args, **kwargs):
        """The batch itself."""
        return self


def _ids(ids):
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    return [int(i) for i in ids] if isinstance(ids, (list, tuple)) else int(ids)


class Tokenizer:
    """Turns text into token ids and back."""

    is_fast = True
    padding_side = "left"
    model_max_length = int(1e30)

    def __init__(self, model):
        self._model = model
        special = model.special_tokens()
        for role in ("bos", "eos", "pad", "unk"):
            text, number = special.get(role, (None, None))
            if role == "pad" and text is None:
                text, number = special.get("eos", (None, None))
            setattr(self, f"{role}_token", text)
            setattr(self, f"{role}_token_id", number)
        self.all_special_ids = sorted({number for _, number in special.values()})
        self.all_special_tokens = [text for text, _ in special.values()]
        config = json.loads(model.config())
        self.model_max_length = config.get("n_positions") or config.get("max_position_embeddings") or int(1e30)

    @property
    def vocab_size(self):
        """How many tokens there are."""
        return self._model.vocab_size()

    def __len__(self):
        return self.vocab_size

    def encode(self, text, add_special_tokens=True, return_tensors=None, **_):
        """Token ids of a text."""
        ids = self._model.encode(text, add_special_tokens)[0]
        return _tensor([ids]) if return_tensors else ids

    def __call__(self, text, add_special_tokens=True, padding=False, return_tensors=None,
                 return_offsets_mapping=False, truncation=False, max_length=None, **_):
        """Token ids of one or several texts, with their masks."""
        texts = [text] if isinstance(text, str) else list(text)
        encoded = [self._model.encode(one, add_special_tokens) for one in texts]
        rows = [ids for ids, _ in encoded]
        if truncation and max_length:
            rows = [row[:max_length] for row in rows]
        masks = [[1] * len(row) for row in rows]
        if padding:
            longest = max_length if padding == "max_length" else max(map(len, rows))
            pads = [longest - len(row) for row in rows]
            pad = self.pad_token_id or 0
            left = self.padding_side == "left"
            rows = [[pad] * n + row if left else row + [pad] * n for row, n in zip(rows, pads)]
            masks = [[0] * n + row if left else row + [0] * n for row, n in zip(masks, pads)]
        offsets = [[_characters(one, *pair) for pair in pairs] for one, (_, pairs) in zip(texts, encoded)]
        if return_tensors:
            batch = BatchEncoding(input_ids=_tensor(rows), attention_mask=_tensor(masks))
        elif isinstance(text, str):
            batch, offsets = BatchEncoding(input_ids=rows[0], attention_mask=masks[0]), offsets[0]
        else:
            batch = BatchEncoding(input_ids=rows, attention_mask=masks)
        if return_offsets_mapping:
            batch["offset_mapping"] = offsets
        return batch

    def decode(self, ids, skip_special_tokens=False, **_):
        """The text of token ids."""
        ids = _ids(ids)
        ids = [ids] if isinstance(ids, int) else ids
        return self._model.decode(ids, skip_special_tokens)

    def batch_decode(self, rows, skip_special_tokens=False, **_):
        """The texts of rows of token ids."""
        rows = rows.tolist() if hasattr(rows, "tolist") else rows
        return [self.decode(row, skip_special_tokens) for row in rows]

    def tokenize(self, text, **_):
        """The pieces of a text, as the vocabulary writes them."""
        return self.convert_ids_to_tokens(self._model.encode(text, False)[0])

    def convert_ids_to_tokens(self, ids):
        """The pieces of ids."""
        ids = _ids(ids)
        return self._model.token(ids) if isinstance(ids, int) else [self._model.token(one) for one in ids]

    def convert_tokens_to_ids(self, tokens):
        """The ids of pieces."""
        if isinstance(tokens, str):
            found = self._model.token_id(tokens)
            return self.unk_token_id if found is None else found
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def apply_chat_template(self, conversation, tokenize=True, add_generation_prompt=False, return_tensors=None, **_):
        """A conversation as the model expects it."""
        text = self._model.chat(json.dumps(conversation), add_generation_prompt)
        return self.encode(text, add_special_tokens=False, return_tensors=return_tensors) if tokenize else text


def _tensor(rows):
    return _hooks.tensor(call_op("tensor", (rows,)))


def _characters(text, start, end):
    """A range of bytes of a text in characters."""
    raw = text.encode()
    first = len(raw[:start].decode(errors="ignore"))
    return (first, first + len(raw[start:end].decode(errors="ignore")))
