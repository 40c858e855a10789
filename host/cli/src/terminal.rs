//! The terminal this program runs in.

use std::io::IsTerminal;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Whether a person reads standard error as it is written.
pub fn is_interactive() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether standard error shows colours: a terminal, and nobody asked for none.
pub fn is_colourful() -> bool {
    is_interactive() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Rows and columns of the terminal, if there is one.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(std::io::stdout()).or_else(|_| tcgetwinsize(std::io::stdin())).ok()?;
    Some((size.ws_row, size.ws_col))
}

/// Every key goes to the program as it is pressed; the terminal is as before when this is dropped.
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Sets the mode; none when standard input is no terminal.
    pub fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
