//! The global counters and free lists, in a process of their own so that no other test moves them.

use pellucid_kernels::memory::{
    Buffer, cached_bytes, clear, current_bytes, peak_bytes, reset_peak, set_budget, trim,
};

#[test]
fn memory_is_counted_recycled_trimmed_and_bounded() {
    let one = Buffer::new(1 << 20);
    let address = one.as_ptr();
    assert_eq!(current_bytes(), 1 << 20);
    drop(one);
    assert_eq!(current_bytes(), 0);
    assert_eq!(peak_bytes(), 1 << 20);
    assert_eq!(cached_bytes(), 1 << 20);

    let again = Buffer::new((1 << 20) - 5);
    assert_eq!(again.as_ptr(), address, "the block is used again");
    assert_eq!(cached_bytes(), 0);
    let small = Buffer::new(1000);
    drop((again, small));
    reset_peak();
    assert_eq!(peak_bytes(), 0);

    trim(4096);
    assert_eq!(cached_bytes(), 1024, "the largest block goes first");
    clear();
    assert_eq!(cached_bytes(), 0);

    set_budget(2000);
    drop(Buffer::new(4096));
    assert_eq!(cached_bytes(), 0, "a block over the budget is not kept");
    drop(Buffer::new(1500));
    assert!(cached_bytes() > 0 && cached_bytes() <= 2000);
}
