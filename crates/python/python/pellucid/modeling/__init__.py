"""Kinds of models, by nnsight's module paths."""
