//! Paths with `*` and `?` in them, as configuration files name other files.

use super::root::HostRoot;

/// The paths that exist and match an absolute pattern, sorted. `*` and `?` do not match `/`; names that begin
/// with a dot are matched only by a pattern that begins with one.
pub(super) fn paths(root: &HostRoot, pattern: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|directory| below(root, directory, part)).collect();
    }
    found
}

fn below(root: &HostRoot, directory: &str, part: &str) -> Vec<String> {
    if !part.contains(['*', '?']) {
        let path = format!("{directory}/{part}");
        return if root.metadata_of_link(&path).is_ok() { vec![path] } else { Vec::new() };
    }
    let here = if directory.is_empty() { "/" } else { directory };
    let names = root.names_if_readable(here);
    let visible = |name: &&String| !name.starts_with('.') || part.starts_with('.');
    let matching = names.iter().filter(visible).filter(|name| matches(part.as_bytes(), name.as_bytes()));
    matching.map(|name| format!("{directory}/{name}")).collect()
}

/// Whether a name matches a pattern. Goes back to the last `*` only, so the time is at most their product.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(&byte) if byte == b'?' || Some(&byte) == name.get(of) => {
                at += 1;
                of += 1;
            }
            _ => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    at = *after + 1;
                    of = *from;
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_run_of_characters() {
        for (pattern, name, expected) in [
            ("*.conf", "10-local.conf", true),
            ("*.conf", "10-local.conf.bak", false),
            ("ssh_host_*_key", "ssh_host_rsa_key", true),
            ("ssh_host_*_key", "ssh_host_rsa_key.pub", false),
            ("a?c", "abc", true),
            ("*a*b", "xaxxb", true),
            ("*", "", true),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
