//! Names with `*` and `?`, matched from end to end.

/// Whether `name` matches `pattern` as a whole: `*` stands for any run of characters (also none), `?` for
/// exactly one. Nothing else is special; a pattern without either matches only itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at_pattern, mut at_name) = (0, 0);
    // Where to go on from when what follows the last `*` did not fit.
    let mut retry: Option<(usize, usize)> = None;
    while at_name < name.len() {
        match pattern.get(at_pattern) {
            Some('*') => {
                retry = Some((at_pattern + 1, at_name));
                at_pattern += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == name[at_name] => {
                at_pattern += 1;
                at_name += 1;
            }
            _ => {
                let Some((after_star, taken)) = retry else { return false };
                retry = Some((after_star, taken + 1));
                at_pattern = after_star;
                at_name = taken + 1;
            }
        }
    }
    pattern[at_pattern..].iter().all(|&rest| rest == '*')
}

/// Whether `pattern` can match more than one name.
pub fn is_pattern(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_from_end_to_end() {
        assert!(matches("sg_ingress_*", "sg_ingress_ssh_world"));
        assert!(!matches("sg_ingress", "sg_ingress_ssh_world"));
        assert!(!matches("ingress_*", "sg_ingress_ssh_world"));
        assert!(matches("*:volume/vol-?", "arn:aws:ec2:volume/vol-1"));
        assert!(matches("*a*b*", "xxaxxabx"));
        assert!(!matches("a?", "a"));
        assert!(matches("*", ""));
    }
}
