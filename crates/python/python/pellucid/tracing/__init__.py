"""Programs, by nnsight's module paths."""
