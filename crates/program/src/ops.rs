//! What is known of operations by their canonical names: which give views, which write, which draw random numbers.

/// Operations whose result may share memory with their first argument, as in PyTorch, sorted.
///
/// Whether it does can depend on strides, dtypes and the kind of index; the runtime decides then.
const VIEWS: &[&str] = &[
    "H",
    "T",
    "adjoint",
    "alias",
    "as_strided",
    "as_tensor",
    "astype",
    "atleast_1d",
    "atleast_2d",
    "bfloat16",
    "bool",
    "broadcast_tensors",
    "broadcast_to",
    "byte",
    "chunk",
    "contiguous",
    "cpu",
    "cuda",
    "detach",
    "diagonal",
    "double",
    "dsplit",
    "einops.rearrange",
    "einops.repeat",
    "expand",
    "expand_as",
    "flatten",
    "float",
    "from_numpy",
    "getattr",
    "getitem",
    "half",
    "hsplit",
    "imag",
    "int",
    "long",
    "mH",
    "mT",
    "moveaxis",
    "movedim",
    "narrow",
    "numpy",
    "permute",
    "pos",
    "positive",
    "ravel",
    "real",
    "rearrange",
    "requires_grad_",
    "reshape",
    "reshape_as",
    "select",
    "split",
    "split_with_sizes",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "to",
    "transpose",
    "type",
    "type_as",
    "unbind",
    "unflatten",
    "unfold",
    "unsqueeze",
    "view",
    "view_as",
    "view_as_complex",
    "view_as_real",
    "vsplit",
];

/// Operations that draw random numbers, sorted; their in-place forms are recognised without the final underscore.
const RANDOM: &[&str] = &[
    "bernoulli",
    "cauchy",
    "dropout",
    "exponential",
    "geometric",
    "log_normal",
    "multinomial",
    "normal",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "random",
    "randperm",
    "uniform",
];

/// Methods of lists, dictionaries and sets that change their receiver, sorted.
const CONTAINER_WRITES: &[&str] = &[
    "append",
    "clear",
    "delitem",
    "discard",
    "extend",
    "insert",
    "list.sort",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "set.add",
    "setdefault",
    "update",
];

/// Whether an operation's result may be a view of its first argument, so that a write into one is seen in the other.
#[must_use]
pub fn is_view_op(name: &str) -> bool {
    VIEWS.binary_search(&name).is_ok()
}

/// Whether an operation writes into its first argument: `setitem`, `setattr`, and names that end in one underscore
/// (`add_`, `zero_`, `copy_`), as in PyTorch.
#[must_use]
pub fn is_in_place_op(name: &str) -> bool {
    matches!(name, "setitem" | "setattr")
        || (name.ends_with('_') && !name.ends_with("__") && name != "_" && name != "requires_grad_")
}

/// Whether an operation changes the list, dictionary or set that is its first argument.
#[must_use]
pub fn is_container_write(name: &str) -> bool {
    CONTAINER_WRITES.binary_search(&name).is_ok()
}

/// Whether an operation draws random numbers, so that two equal ones are not one.
#[must_use]
pub fn is_random_op(name: &str) -> bool {
    RANDOM.binary_search(&name.strip_suffix('_').unwrap_or(name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_so_that_every_name_in_them_is_found() {
        for table in [VIEWS, RANDOM, CONTAINER_WRITES] {
            assert!(table.is_sorted());
        }
        assert!(is_view_op("transpose") && !is_view_op("clone") && !is_view_op("add"));
        assert!(is_random_op("normal_") && is_random_op("rand") && !is_random_op("arange"));
    }

    #[test]
    fn in_place_operations_are_those_pytorch_marks_with_an_underscore() {
        for name in ["setitem", "setattr", "add_", "masked_fill_", "zero_"] {
            assert!(is_in_place_op(name), "{name}");
        }
        for name in ["add", "__getitem__", "_", "requires_grad_", ""] {
            assert!(!is_in_place_op(name), "{name}");
        }
    }
}
