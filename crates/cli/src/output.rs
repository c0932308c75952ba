//! The one place that prints: text that fits the terminal, JSON, pictures in files, errors with their hints.

use std::io::{IsTerminal, Write as _};
use std::path::Path;

use pellucid_techniques::plot::{self, ColourSupport, Figure, TerminalStyle};
use serde::Serialize;

use crate::args::{ColorChoice, OutputArgs};
use crate::error::CliError;

/// Shows results as the user asked for.
#[derive(Debug)]
pub(crate) struct Printer<'a> {
    args: &'a OutputArgs,
    style: TerminalStyle,
}

impl<'a> Printer<'a> {
    /// Looks at the terminal once.
    pub(crate) fn new(args: &'a OutputArgs) -> Printer<'a> {
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let terminal = std::io::stdout().is_terminal();
        let dumb = variable("TERM").is_some_and(|t| t == "dumb");
        let wanted = match args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && variable("NO_COLOR").is_none() && !dumb,
        };
        let true_colour = variable("COLORTERM").is_some_and(|c| c == "truecolor" || c == "24bit");
        let colour = match (wanted, true_colour) {
            (false, _) => ColourSupport::None,
            (true, true) => ColourSupport::TrueColour,
            (true, false) => ColourSupport::Ansi256,
        };
        let measured = terminal_size::terminal_size().filter(|_| terminal).map(|(w, _)| w.0);
        let width = usize::from(args.width.or(measured).unwrap_or(100));
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|n| variable(n));
        // Only a locale that says otherwise is taken to be without Unicode.
        let unicode = !locale.is_some_and(|l| matches!(l.as_str(), "C" | "POSIX")) && !dumb;
        Printer { args, style: TerminalStyle { width, colour, unicode } }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.args.json
    }

    /// Width of the output in columns.
    pub(crate) fn width(&self) -> usize {
        self.style.width
    }

    /// Shows a result that has a picture.
    pub(crate) fn figure(&self, data: &impl Serialize, figure: &dyn Figure) -> Result<(), CliError> {
        if let Some(path) = &self.args.save {
            save(figure, path)?;
        }
        if self.is_json() {
            return self.json(data);
        }
        self.text(&plot::terminal(figure, &self.style));
        if let Some(path) = &self.args.save {
            self.text(&format!("saved {}\n", path.display()));
        }
        Ok(())
    }

    /// Shows a result that has none.
    pub(crate) fn plain(
        &self,
        command: &'static str,
        data: &impl Serialize,
        text: &str,
    ) -> Result<(), CliError> {
        if self.args.save.is_some() {
            return Err(CliError::NoPicture { command });
        }
        if self.is_json() {
            return self.json(data);
        }
        self.text(text);
        Ok(())
    }

    fn json(&self, data: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(data)
            .map_err(|e| CliError::Write { path: "stdout".into(), source: e.into() })?;
        self.text(&format!("{text}\n"));
        Ok(())
    }

    /// Writes text; a reader that went away, such as `head`, is no fault.
    pub(crate) fn text(&self, text: &str) {
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// Reports a failure on standard error.
    pub(crate) fn error(&self, error: &CliError) {
        let mut stderr = std::io::stderr().lock();
        let coloured = stderr.is_terminal() && self.args.color != ColorChoice::Never;
        let mark = |text: &str, code: &str| {
            if coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
        };
        let _ = writeln!(stderr, "{}: {error}", mark("error", "1;31"));
        if let Some(hint) = error.hint() {
            let _ = writeln!(stderr, "\n{}: {hint}", mark("hint", "1;36"));
        }
    }
}

/// Writes a picture under a name whose ending tells its kind; nothing is left half-written.
fn save(figure: &dyn Figure, path: &Path) -> Result<(), CliError> {
    let kind = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let bytes = match kind.as_deref() {
        Some("svg") => plot::svg(figure).into_bytes(),
        Some("html" | "htm") => plot::html(figure).into_bytes(),
        Some("png") => plot::png(figure, 2.0).map_err(pellucid_techniques::TechniqueError::from)?,
        _ => return Err(CliError::PictureKind { path: path.into() }),
    };
    let failed = |source| CliError::Write { path: path.into(), source };
    let mut partial = path.as_os_str().to_owned();
    partial.push(".part");
    std::fs::write(&partial, bytes).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}
