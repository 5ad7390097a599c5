//! `host_sshd_setting`: what the configuration of the SSH server says.

use std::collections::HashMap;

use crate::providers::host::glob;
use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::Table;

const CONFIGURATION: &str = "/etc/ssh/sshd_config";

/// How deep files may include each other, as in the server.
const DEPTH: usize = 16;

/// Keywords that add to what was said before, rather than being decided by the first.
const CUMULATIVE: [&str; 12] = [
    "acceptenv",
    "allowgroups",
    "allowusers",
    "denygroups",
    "denyusers",
    "hostcertificate",
    "hostkey",
    "listenaddress",
    "permitlisten",
    "permitopen",
    "port",
    "subsystem",
];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct SshdSetting {
    keyword: String,
    match_block: String,
    occurrence: i64,
    value: String,
    effective: bool,
    file: String,
    line: i64,
}

pub(super) fn table() -> Table<SshdSetting> {
    let identity =
        |setting: &SshdSetting| format!("{}/{}/{}", setting.keyword, setting.occurrence, setting.match_block);
    let description = "The lines of /etc/ssh/sshd_config and of the files that it includes. A machine without it has no rows; \
                       what is not said has no row either, and the server's default.";
    Table::new("host_sshd_setting", description, &["keyword", "match_block", "occurrence"], identity, collect)
        .column("keyword", "The keyword, in lower case.", |setting| &setting.keyword)
        .column(
            "match_block",
            "The condition of the Match block it stands in; empty where it always applies.",
            |setting| &setting.match_block,
        )
        .column("occurrence", "1 for the first line with this keyword under this condition, and so on.", |setting| {
            &setting.occurrence
        })
        .column("value", "The value, without quotes around it.", |setting| &setting.value)
        .column("effective", "Whether this line decides: the first does, but for keywords that add up.", |setting| {
            &setting.effective
        })
        .column("file", "The file that says so.", |setting| &setting.file)
        .column("line", "The line in it, from 1.", |setting| &setting.line)
}

fn collect(root: &HostRoot) -> Result<Vec<SshdSetting>, Unread> {
    if root.metadata(CONFIGURATION).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(Vec::new());
    }
    let mut reader = Reader { root, settings: Vec::new(), occurrences: HashMap::new() };
    reader.read(CONFIGURATION, &mut String::new(), DEPTH)?;
    Ok(reader.settings)
}

struct Reader<'a> {
    root: &'a HostRoot,
    settings: Vec<SshdSetting>,
    /// How often each keyword has been seen under each condition.
    occurrences: HashMap<(String, String), i64>,
}

impl Reader<'_> {
    fn read(&mut self, file: &str, block: &mut String, depth: usize) -> Result<(), Unread> {
        let text = self.root.text(file)?;
        for (index, line) in text.lines().enumerate() {
            let Some((keyword, value)) = setting(line) else { continue };
            match keyword.as_str() {
                "match" => *block = value,
                "include" => self.include(&value, block, depth)?,
                _ => self.push(keyword, value, block, file, index),
            }
        }
        Ok(())
    }

    /// A Match block that begins in an included file ends with that file.
    fn include(&mut self, patterns: &str, block: &str, depth: usize) -> Result<(), Unread> {
        if depth == 0 {
            return Err(Unread::Failed(format!("{CONFIGURATION} includes files more than {DEPTH} deep")));
        }
        for pattern in patterns.split_whitespace() {
            let pattern = pattern.trim_matches('"');
            let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/ssh/{pattern}") };
            for file in glob::paths(self.root, &pattern) {
                self.read(&file, &mut block.to_owned(), depth - 1)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, keyword: String, value: String, block: &str, file: &str, index: usize) {
        let occurrence = self.occurrences.entry((keyword.clone(), block.to_owned())).or_default();
        *occurrence += 1;
        self.settings.push(SshdSetting {
            effective: *occurrence == 1 || CUMULATIVE.contains(&keyword.as_str()),
            occurrence: *occurrence,
            keyword,
            match_block: block.to_owned(),
            value,
            file: file.to_owned(),
            line: i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1),
        });
    }
}

/// `Keyword value`, `Keyword=value` or `Keyword "value"`; nothing for comments and empty lines.
fn setting(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (keyword, value) =
        line.split_once(|letter: char| letter.is_whitespace() || letter == '=').unwrap_or((line, ""));
    let value = value.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '=');
    let value = value.split(" #").next().unwrap_or_default().trim();
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let unquoted = unquoted.filter(|value| !value.contains('"')).unwrap_or(value);
    Some((keyword.to_lowercase(), unquoted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(files: &[(&str, &str)]) -> Vec<SshdSetting> {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join("etc/ssh").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        collect(&HostRoot::new(directory.path().to_owned())).unwrap()
    }

    #[test]
    fn the_first_value_decides_and_included_files_come_where_they_are_included() {
        let found = settings(&[
            ("sshd_config", "Include sshd_config.d/*.conf\nPermitRootLogin yes # as ever\nPort 22\nPort=2222\n"),
            ("sshd_config.d/10-hard.conf", "permitrootlogin \"no\"\n"),
            ("sshd_config.d/ignored", "PermitRootLogin yes\n"),
        ]);
        let row = |setting: &SshdSetting| (setting.keyword.clone(), setting.value.clone(), setting.effective);
        let expected = [
            ("permitrootlogin", "no", true),
            ("permitrootlogin", "yes", false),
            ("port", "22", true),
            ("port", "2222", true),
        ];
        let expected = expected.map(|(keyword, value, effective)| (keyword.to_owned(), value.to_owned(), effective));
        assert_eq!(found.iter().map(row).collect::<Vec<_>>(), expected);
        assert_eq!((found[0].file.as_str(), found[0].line), ("/etc/ssh/sshd_config.d/10-hard.conf", 1));
    }

    #[test]
    fn lines_of_a_match_block_name_its_condition() {
        let found = settings(&[
            (
                "sshd_config",
                "PasswordAuthentication no\nMatch User backup\n  PasswordAuthentication yes\nInclude more\nX11Forwarding yes\n",
            ),
            ("more", "Match Group a\nBanner none\n"),
        ]);
        let blocks: Vec<&str> = found.iter().map(|setting| setting.match_block.as_str()).collect();
        assert_eq!(blocks, ["", "User backup", "Group a", "User backup"]);
        assert!(found[1].effective);
    }

    #[test]
    fn a_file_that_includes_itself_fails_and_a_missing_one_has_no_settings() {
        assert_eq!(settings(&[]), []);
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("etc/ssh")).unwrap();
        std::fs::write(directory.path().join("etc/ssh/sshd_config"), "Include sshd_config\n").unwrap();
        assert!(matches!(collect(&HostRoot::new(directory.path().to_owned())), Err(Unread::Failed(_))));
    }
}
