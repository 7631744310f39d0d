//! Reads small text files, and says in one message why one cannot be read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The longest file that is read: the configuration itself, a secret, certificates.
const MAX_LEN: u64 = 1 << 20;

/// Reads a file as text. The error is a whole message.
pub(crate) fn read_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let open = || {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let mut bytes = Vec::new();
        file.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let bytes = open().map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("there is no file `{shown}`"),
        kind => format!("cannot read `{shown}`: {kind}"),
    })?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_LEN {
        return Err(format!("`{shown}` has more than {MAX_LEN} bytes"));
    }
    String::from_utf8(bytes).map_err(|_not_shown| format!("`{shown}` is not UTF-8 text"))
}
