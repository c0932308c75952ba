//! Progress of long work, on a terminal only.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use pellucid::{DownloadEvent, DownloadProgress};

/// A bar on standard error; invisible where that is not a terminal.
pub(crate) fn bar(total: u64, what: String, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what);
    bar
}

/// A bar that counts steps.
pub(crate) fn steps(total: u64, what: &str) -> ProgressBar {
    bar(total, what.to_owned(), "{msg} {wide_bar} {pos}/{len} {eta}")
}

/// Bars for downloads, one file after the other.
#[derive(Default)]
pub(crate) struct Downloads {
    current: Mutex<Option<ProgressBar>>,
}

impl Downloads {
    /// To be handed to the hub.
    pub(crate) fn shared() -> Arc<dyn DownloadProgress> {
        Arc::new(Downloads::default())
    }
}

impl DownloadProgress for Downloads {
    fn on_event(&self, event: DownloadEvent<'_>) -> ControlFlow<()> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            DownloadEvent::Started { file, total } => {
                let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
                *current = Some(bar(total, file.to_owned(), template));
            }
            DownloadEvent::Advanced { received, .. } => {
                if let Some(bar) = &*current {
                    bar.set_position(received);
                }
            }
            DownloadEvent::Finished { .. } => {
                if let Some(bar) = current.take() {
                    bar.finish();
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
