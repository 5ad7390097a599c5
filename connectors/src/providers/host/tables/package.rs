//! `host_package`: the packages that the system's package manager has on record.

use crate::providers::host::root::{HostRoot, Unread};
use crate::providers::host::table::Table;

const DPKG: &str = "/var/lib/dpkg/status";
const APK: &str = "/lib/apk/db/installed";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package {
    name: String,
    architecture: String,
    version: String,
    manager: String,
    status: String,
    installed: bool,
    source: Option<String>,
}

pub(super) fn table() -> Table<Package> {
    let identity = |package: &Package| format!("{}/{}", package.name, package.architecture);
    let description = "The packages that dpkg or apk has on record. Others, such as rpm, are not read.";
    Table::new("host_package", description, &["name", "architecture"], identity, collect)
        .column("name", "The name of the package.", |package| &package.name)
        .column("architecture", "The architecture that it is built for.", |package| &package.architecture)
        .column("version", "Its version; empty where only its configuration was ever there.", |package| {
            &package.version
        })
        .column("manager", "dpkg or apk.", |package| &package.manager)
        .column("status", "Its state, as the manager writes it: `install ok installed`.", |package| &package.status)
        .column("installed", "Whether its files are installed, not only its configuration.", |package| {
            &package.installed
        })
        .column("source", "The source package, where it has another name.", |package| &package.source)
}

fn collect(root: &HostRoot) -> Result<Vec<Package>, Unread> {
    if root.has(DPKG) {
        return root.text(DPKG).map(|text| paragraphs(&text).filter_map(|lines| of_dpkg(&lines)).collect());
    }
    if root.has(APK) {
        return root.text(APK).map(|text| paragraphs(&text).filter_map(|lines| of_apk(&lines)).collect());
    }
    Err(Unread::Skipped("no dpkg or apk database is on this machine".to_owned()))
}

/// The fields of each paragraph; lines that go on an earlier field are left out.
fn paragraphs(text: &str) -> impl Iterator<Item = Vec<(&str, &str)>> {
    let field = |line: &'_ str| line.find(':').map(|at| (at, line.len()));
    text.split("\n\n").map(move |paragraph| {
        let lines = paragraph.lines().filter(|line| !line.starts_with([' ', '\t']));
        let fields = lines.filter_map(|line| {
            let (at, end) = field(line)?;
            Some((line.get(..at)?, line.get(at + 1..end)?.trim()))
        });
        fields.collect()
    })
}

fn value<'a>(fields: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| *value)
}

fn of_dpkg(fields: &[(&str, &str)]) -> Option<Package> {
    let status = value(fields, "Status").unwrap_or_default();
    Some(Package {
        name: value(fields, "Package")?.to_owned(),
        architecture: value(fields, "Architecture").unwrap_or_default().to_owned(),
        version: value(fields, "Version").unwrap_or_default().to_owned(),
        manager: "dpkg".to_owned(),
        installed: status.ends_with(" installed"),
        status: status.to_owned(),
        // `Source: name (version)`.
        source: value(fields, "Source").and_then(|source| source.split(' ').next()).map(str::to_owned),
    })
}

fn of_apk(fields: &[(&str, &str)]) -> Option<Package> {
    Some(Package {
        name: value(fields, "P")?.to_owned(),
        architecture: value(fields, "A").unwrap_or_default().to_owned(),
        version: value(fields, "V").unwrap_or_default().to_owned(),
        manager: "apk".to_owned(),
        status: "installed".to_owned(),
        installed: true,
        source: value(fields, "o").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(text: &str) -> Vec<Package> {
        paragraphs(text).filter_map(|fields| of_dpkg(&fields)).collect()
    }

    #[test]
    fn packages_of_which_only_the_configuration_is_left_are_not_installed() {
        let text = "Package: telnetd\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\
                    Description: server\n Package: not this\n\n\
                    Package: bash\nStatus: install ok installed\nArchitecture: amd64\nSource: bash (5.2)\nVersion: 5.2-1\n";
        let found = packages(text);
        assert_eq!(found.iter().map(|package| package.installed).collect::<Vec<_>>(), [false, true]);
        assert_eq!(found[1].source.as_deref(), Some("bash"));
        assert_eq!(found[1].version, "5.2-1");
    }

    #[test]
    fn an_empty_or_broken_database_has_no_packages() {
        assert_eq!(packages(""), []);
        assert_eq!(packages("\n\n\nno field\n\nStatus: install ok installed\n"), []);
    }

    #[test]
    fn a_database_of_apk_is_read() {
        let text = "C:Q1=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\n";
        let found: Vec<Package> = paragraphs(text).filter_map(|fields| of_apk(&fields)).collect();
        assert_eq!((found[0].name.as_str(), found[0].version.as_str()), ("musl", "1.2.5-r0"));
    }
}
