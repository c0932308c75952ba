"""Models as users open them."""

import difflib
import json

from . import _hooks, _pellucid, errors
from ._context import Recording
from ._proxy import Proxy
from ._tokenizer import BatchEncoding, Tokenizer, _tensor
from ._trace import Edit, Session, Tracer
from .envoy import Envoy

__all__ = ["LanguageModel", "NNsight"]

# What `transformers` takes when it opens a model, and what has no meaning here.
_NO_EFFECT = {"device_map", "dispatch", "automodel", "trust_remote_code", "low_cpu_mem_usage", "attn_implementation",
              "config", "tokenizer_kwargs", "cache_dir", "token", "local_files_only", "use_safetensors", "meta_buffers"}

# Names that Hugging Face configurations of some families have for others' attributes.
_ALIASES = {
    "hidden_size": "n_embd", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
    "max_position_embeddings": "n_positions",
}


class Config:
    """The contents of `config.json`, by attribute."""

    def __init__(self, values):
        self.__dict__.update(values)

    def __getattr__(self, name):
        other = _ALIASES.get(name) or next((k for k, v in _ALIASES.items() if v == name), None)
        if other in self.__dict__:
            return self.__dict__[other]
        raise AttributeError(f"the configuration has no attribute {name!r}")

    def to_dict(self):
        """All attributes."""
        return dict(self.__dict__)

    def get(self, name, default=None):
        """An attribute, or a default."""
        return getattr(self, name, default)

    def __repr__(self):
        return f"{self.__dict__.get('model_type', '')} {json.dumps(self.__dict__, indent=2)}"


class _Module:
    __slots__ = ("children", "parameters", "type")

    def __init__(self, type_, children, parameters):
        self.type, self.children, self.parameters = type_, children, parameters


class NNsight(Envoy):
    """A model that can be looked into while it runs."""

    def __init__(self, model, rename=None):
        if not isinstance(model, _pellucid.Model):
            raise errors.make("NotImplementedError", (
                f"tracing a module of type `{type(model).__name__}` is not supported yet"),
                hint="open a language model: `LanguageModel(\"gpt2\")`")
        super().__init__(self, "")
        tree = model.tree()
        modules = {
            path: _Module(type_, [tree[at][0].rpartition(".")[2] for at in children], dict(parameters))
            for path, type_, _, children, parameters in tree
        }
        self.__dict__.update(_handle=model, _edits=[], _modules_by_path=modules, _renames=dict(rename or {}),
                             config=Config(json.loads(model.config())), dispatched=True)

    def _names_below(self, path):
        return self._modules_by_path[path].children

    def _old_name(self, name):
        for old, new in self._renames.items():
            if name == new:
                return old.rpartition(".")[2]
        return name

    def _similar(self, name, names):
        close = difflib.get_close_matches(name, names, 1)
        return f"did you mean `{close[0]}`?" if close else None

    def _printout(self, path):
        text = self._handle.printout(path)
        for old, new in self._renames.items():
            text = text.replace(f"({old}): ", f"({new}): ")
        return text

    @property
    def _wrap(self):
        return _hooks.tensor

    def _copy(self):
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.__dict__.update(_root=made, _children={}, _edits=list(self._edits))
        return made

    def __setattr__(self, name, value):
        if name == "_edits":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @property
    def device(self):
        """Where the model's values are."""
        library = _hooks.torch()
        return "cpu" if library is None else library.device("cpu")

    def to(self, *args, **kwargs):
        """The model itself."""
        return self

    cpu = cuda = eval = to

    # Running.

    def trace(self, *inputs, trace=True, scan=False, validate=False, method=None, invoker_kwargs=None, debug=None,
              remote=None, blocking=True, backend=None, **kwargs):
        """A block in which what happens during one run of the model is written.

        With an input there is one invoke; else open some with `tracer.invoke(input)`. With `trace=False` the model runs
        at once and its output is returned.
        """
        if remote:
            raise errors.make("NotImplementedError", "running on a server is not supported yet")
        if method in ("generate", "_generate"):
            return self.generate(*inputs, trace=trace, invoker_kwargs=invoker_kwargs, **kwargs)
        options = {**kwargs, **(invoker_kwargs or {})}
        tracer = Tracer(self, inputs, options, None)
        if trace:
            return tracer
        if not inputs and "input_ids" not in options:
            raise errors.make("ValueError", "Can't execute on no inputs!")
        with tracer:
            output = self.output.save()
        return output.value

    def scan(self, *inputs, **kwargs):
        """A block whose values are known by their shapes, without running the model."""
        return Tracer(self, inputs, kwargs, None, scan=True)

    def session(self, validate=False, debug=None, remote=None, backend=None):
        """A block in which several traces are one program: values flow between them without `.save()`."""
        if remote:
            raise errors.make("NotImplementedError", "running on a server is not supported yet")
        return Session(self)

    def edit(self, *inputs, inplace=False, **kwargs):
        """A block of interventions with which every later trace of the edited model starts."""
        return Edit(self, inplace)

    def clear_edits(self):
        """Forgets the edits."""
        self._edits = []

    def _call_now(self, path, args, kwargs):
        recording = Recording().begin()
        try:
            recording.here().model(self._handle, [])
            found = Proxy(recording, recording.module(path, args, kwargs, False)).save()
        finally:
            recording.end()
        recording.run()
        return found.value

    def __call__(self, *args, hook=False, **kwargs):
        from ._context import current

        if current() is None:
            return self.trace(*args, trace=False, **kwargs)
        return super().__call__(*args, hook=hook, **kwargs)


class LanguageModel(NNsight):
    """A language model with its tokenizer.

    `name` is a folder, an entry of the Hugging Face cache, a hub id, or `demo`, which ships with the library.
    """

    def __init__(self, name, *, tokenizer=None, torch_dtype=None, dtype=None, revision=None, rename=None, **kwargs):
        unknown = set(kwargs) - _NO_EFFECT
        if unknown:
            raise TypeError(f"LanguageModel() got an unexpected keyword argument {min(unknown)!r}")
        if not isinstance(name, (str, _pellucid.Model)) and hasattr(name, "__fspath__"):
            name = name.__fspath__()
        if isinstance(name, str):
            wanted = torch_dtype if torch_dtype is not None else dtype
            keep = wanted == "auto"
            if isinstance(wanted, str) and not keep:
                wanted = _pellucid.dtype(wanted)
            elif wanted is not None and not keep and not isinstance(wanted, _pellucid.dtype):
                wanted = _hooks.foreign(wanted)
            name = _pellucid.Model.open(name, None if keep else wanted, revision, keep)
        super().__init__(name, rename)
        if tokenizer is None and name.has_tokenizer():
            tokenizer = Tokenizer(name)
        modules = self._modules_by_path
        modules["generator"] = _Module("Generator", ["streamer"], {})
        modules["generator.streamer"] = _Module("Streamer", [], {})
        self.__dict__["tokenizer"] = tokenizer

    @property
    def generator(self):
        """What is generated: `generator.output` are all token ids, `generator.streamer.output` those of each step."""
        return self._child("generator")

    def _printout(self, path):
        streamer = "Streamer()"
        generator = f"Generator(\n  (streamer): {streamer}\n)"
        if path.startswith("generator"):
            return generator if path == "generator" else streamer
        text = super()._printout(path)
        if path == "":
            inner = generator.replace("\n", "\n  ")
            text = f"{text.removesuffix(')')}  (generator): {inner}\n)"
        return text

    def generate(self, *inputs, trace=True, invoker_kwargs=None, scan=False, validate=False, debug=None, remote=None,
                 blocking=True, backend=None, max_new_tokens=1, **kwargs):
        """As `trace`, for a generation; keyword arguments are those of `transformers`' `generate`."""
        if remote:
            raise errors.make("NotImplementedError", "running on a server is not supported yet")
        invoke = dict(invoker_kwargs or {})
        for name in ("input_ids", "attention_mask"):
            if name in kwargs:
                invoke[name] = kwargs.pop(name)
        kwargs.pop("streamer", None)
        defaults = {k: v for k, v in self._handle.generation().items() if v is not None}
        options = {**defaults, **kwargs, "max_new_tokens": max_new_tokens}
        tracer = Tracer(self, inputs, invoke, options)
        if trace:
            return tracer
        if not inputs and "input_ids" not in invoke:
            raise errors.make("ValueError", "Can't execute on no inputs!")
        with tracer:
            ids = self.generator.output.save()
        return ids.value

    def _batch(self, kind, value, mask):
        if kind == "text":
            return self.tokenizer(value, return_tensors="pt", padding=True)
        if kind == "tokens":
            longest = max(len(row) for row in value)
            pad = getattr(self.tokenizer, "pad_token_id", None) or 0
            ids = [[pad] * (longest - len(row)) + row for row in value]
            mask = [[0] * (longest - len(row)) + [1] * len(row) for row in value]
            return BatchEncoding(input_ids=_tensor(ids), attention_mask=_tensor(mask))
        return BatchEncoding(input_ids=value, attention_mask=mask)
