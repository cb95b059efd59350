//! Errors as one line for people.

/// The error and its causes. A cause that an error's own words repeat already is left out.
pub fn of(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// A cell of a table that a spreadsheet may open. A serial number comes from a scanner or a file's name, and a spreadsheet computes what
/// begins like a formula: such a cell is marked as text. Source: OWASP, CSV Injection.
pub(crate) fn harmless(cell: &str) -> String {
    let formula =
        cell.starts_with(['=', '+', '@', '\t', '\r']) || (cell.starts_with('-') && cell.parse::<f64>().is_err());
    if formula { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    #[test]
    fn each_cause_is_said_once() {
        let disk = std::io::Error::other("disk full");
        let store = anyhow::Error::new(disk).context("cannot write x: disk full; free space").context("at the end");
        assert_eq!(super::of(&store), "at the end: cannot write x: disk full; free space");
        assert_eq!(super::of(&anyhow!("alone")), "alone");
    }
}
