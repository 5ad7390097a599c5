//! Names with `*` and `?`, matched from end to end.

use tidegate_pipeline::sql::glob_matches;

/// Whether `name` matches `pattern` as a whole: `*` stands for any run of characters (also none), `?` for
/// exactly one. Nothing else is special; a pattern without either matches only itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    glob_matches(pattern, name)
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
