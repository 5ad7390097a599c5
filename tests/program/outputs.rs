//! What runs have written, compared byte by byte.

use std::path::Path;

/// The bytes of some outputs, by name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Outputs(Vec<(String, Vec<u8>)>);

impl Outputs {
    /// The outputs of these names in a folder; nothing where one is not there.
    pub(crate) fn of(folder: &Path, names: &[&str]) -> Self {
        let read = |name: &&str| ((*name).to_owned(), std::fs::read(folder.join(name)).unwrap_or_default());
        Self(names.iter().map(read).collect())
    }

    /// Whether something stands in each.
    pub(crate) fn none_is_empty(&self) -> bool {
        self.0.iter().all(|(_, bytes)| !bytes.is_empty())
    }

    /// They must be the same, byte by byte; otherwise the first line that differs is shown.
    #[track_caller]
    pub(crate) fn assert_same(&self, expected: &Self, when: &str) {
        for ((name, found), (_, expected)) in self.0.iter().zip(&expected.0) {
            if found == expected {
                continue;
            }
            let lines = found.split(|byte| *byte == b'\n').zip(expected.split(|byte| *byte == b'\n')).enumerate();
            let differing = lines.into_iter().find(|(_, (found, expected))| found != expected);
            let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
            let shown = differing.map(|(number, (found, expected))| {
                format!("line {}:\n  found    {}\n  expected {}", number + 1, text(found), text(expected))
            });
            let (bytes, wanted) = (found.len(), expected.len());
            panic!("{when}: {name} has {bytes} bytes instead of {wanted}; {}", shown.unwrap_or_default());
        }
    }
}
