//! Which vector instructions the kernels use, decided once at run time.
//!
//! Results do not depend on the level: it changes speed only. Tests compare the levels with [`with_level`].

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Plain Rust that the compiler vectorises for the build target: the only level off x86-64.
    Portable,
    /// 256-bit vectors with fused multiply-add (x86-64-v3).
    Avx2Fma,
    /// 512-bit vectors (x86-64-v4).
    Avx512,
}

impl Level {
    /// All levels, slowest first.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2Fma, Level::Avx512];

    /// Whether this machine can run the level.
    pub fn is_supported(self) -> bool {
        self <= detected()
    }
}

/// The best level of this machine.
pub fn detected() -> Level {
    static DETECTED: OnceLock<Level> = OnceLock::new();
    *DETECTED.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2Fma,
        _ => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// The level in force; `UNSET` until first asked for.
static CURRENT: AtomicU8 = AtomicU8::new(UNSET);
const UNSET: u8 = u8::MAX;

/// The level that kernels started now will use.
#[inline]
pub fn level() -> Level {
    match CURRENT.load(Ordering::Relaxed) {
        0 => Level::Portable,
        1 => Level::Avx2Fma,
        2 => Level::Avx512,
        _ => {
            let level = detected();
            // A forced level set in between wins.
            let _ = CURRENT.compare_exchange(UNSET, level as u8, Ordering::Relaxed, Ordering::Relaxed);
            level
        }
    }
}

/// Runs `body` with every kernel of the process held to `level`, or returns `None` if this machine cannot run it.
///
/// Calls wait for each other. Kernels on other threads are held too, which changes their speed and nothing else.
///
/// ```
/// use pellucid_kernels::isa::{Level, level, with_level};
/// assert_eq!(with_level(Level::Portable, level), Some(Level::Portable));
/// ```
pub fn with_level<R>(level: Level, body: impl FnOnce() -> R) -> Option<R> {
    static TURN: Mutex<()> = Mutex::new(());
    struct Restore(u8);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.store(self.0, Ordering::Relaxed);
        }
    }
    if !level.is_supported() {
        return None;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let _restore = Restore(CURRENT.swap(level as u8, Ordering::Relaxed));
    Some(body())
}

/// Defines functions that are compiled once per level and dispatched at each call.
///
/// The body is ordinary code that the compiler vectorises; everything it calls must be `#[inline(always)]` to be
/// compiled for the level too.
macro_rules! multiversion {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$gen:ident : $bound:path>)? ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block
    )*) => {$(
        $(#[$meta])*
        $vis fn $name $(<$gen: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body $(<$gen: $bound>)? ($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn avx512 $(<$gen: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
                body $(::<$gen>)? ($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2 $(<$gen: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
                body $(::<$gen>)? ($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "calling code compiled for a detected instruction set")]
            match $crate::isa::level() {
                // SAFETY: `level` never exceeds what the machine was found to support.
                $crate::isa::Level::Avx512 => return unsafe { avx512 $(::<$gen>)? ($($arg),*) },
                // SAFETY: as above.
                $crate::isa::Level::Avx2Fma => return unsafe { avx2 $(::<$gen>)? ($($arg),*) },
                $crate::isa::Level::Portable => {}
            }
            body $(::<$gen>)? ($($arg),*)
        }
    )*};
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_comes_back_after_a_forced_one() {
        let before = level();
        for forced in Level::ALL {
            let seen = with_level(forced, level);
            assert_eq!(seen, forced.is_supported().then_some(forced));
        }
        let _ = with_level(Level::Portable, || ());
        assert!(before.is_supported());
    }
}
