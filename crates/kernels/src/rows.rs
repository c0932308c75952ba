//! Kernels over rows: the last, contiguous axis.
