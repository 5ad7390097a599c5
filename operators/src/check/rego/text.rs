//! What a policy asks of `input`, `data` and the clock, seen in its text.
//!
//! A name that nothing gives is `undefined` to Rego, which makes most rules silently false. So it is looked for before
//! the policy runs. Names that are computed cannot be seen and are passed over.

use std::collections::{BTreeMap, BTreeSet};

/// A name that a policy reads, with the names below it: `input.tables.volume` is `input` and `["tables", "volume"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention<'t> {
    /// The first name.
    pub(super) root: &'t str,
    /// The names below it, as far as they are written out.
    pub(super) path: Vec<&'t str>,
    /// Where it begins, in bytes.
    pub(super) offset: usize,
    /// How long it is, in bytes.
    pub(super) length: usize,
    /// Whether it is called as a function.
    pub(super) called: bool,
}

/// A piece of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Name(&'t str),
    /// A text, as it is between its quotes.
    Text(&'t str),
    /// One character of anything else that is no space.
    Sign(u8),
}

/// Every dotted name in `policy`, in order, but for those that only define something (`package …`).
pub(super) fn mentions(policy: &str) -> Vec<Mention<'_>> {
    let tokens = tokens(policy);
    let mut found: Vec<Mention<'_>> = Vec::new();
    let mut next = 0;
    while let Some((token, offset, end)) = tokens.get(next).copied() {
        next += 1;
        let Token::Name(root) = token else { continue };
        let mut mention = Mention { root, path: Vec::new(), offset, length: end - offset, called: false };
        while let Some((name, end, taken)) = below(&tokens[next..]) {
            mention.path.push(name);
            mention.length = end - offset;
            next += taken;
        }
        let defines = next >= 2
            && tokens[..next]
                .iter()
                .rev()
                .find(|(_, start, _)| *start < offset)
                .is_some_and(|(before, _, _)| *before == Token::Name("package") || *before == Token::Sign(b'.'));
        mention.called =
            matches!(tokens.get(next), Some((Token::Sign(b'('), start, _)) if *start == offset + mention.length);
        if !defines {
            found.push(mention);
        }
    }
    found
}

/// `.name` or `["name"]`: the name, where it ends, and how many tokens it is.
fn below<'t>(tokens: &[(Token<'t>, usize, usize)]) -> Option<(&'t str, usize, usize)> {
    match tokens {
        [(Token::Sign(b'.'), ..), (Token::Name(name), _, end), ..] => Some((name, *end, 2)),
        [(Token::Sign(b'['), ..), (Token::Text(name), ..), (Token::Sign(b']'), _, end), ..] => Some((name, *end, 3)),
        _ => None,
    }
}

/// The tokens of a policy with where they begin and end. Comments and spaces are none.
fn tokens(policy: &str) -> Vec<(Token<'_>, usize, usize)> {
    let bytes = policy.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let from = at;
        let run = |holds: &dyn Fn(u8) -> bool| bytes[from..].iter().take_while(|byte| holds(**byte)).count();
        at += match byte {
            b'#' => run(&|byte| byte != b'\n'),
            b'"' | b'`' => {
                let inside = quoted(&bytes[from + 1..], byte);
                tokens.push((
                    Token::Text(&policy[from + 1..from + 1 + inside]),
                    from,
                    (from + inside + 2).min(bytes.len()),
                ));
                inside + 2
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let length = run(&|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                tokens.push((Token::Name(&policy[from..from + length]), from, from + length));
                length
            }
            b'0'..=b'9' => run(&|byte| byte.is_ascii_alphanumeric() || byte == b'.'),
            byte if byte.is_ascii_whitespace() => 1,
            byte => {
                tokens.push((Token::Sign(byte), from, from + 1));
                1
            }
        };
    }
    tokens
}

/// How many bytes there are before the closing quote; all, where there is none.
fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 2,
            byte if byte == quote => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// What a policy imports, by the name that it has there: `import data.a.b` is `b` and `data.a.b`.
pub(super) fn imports(policy: &str) -> BTreeMap<&str, String> {
    let tokens = tokens(policy);
    let mut imports = BTreeMap::new();
    for (position, (token, ..)) in tokens.iter().enumerate() {
        let rest = &tokens[position + 1..];
        let (Token::Name("import"), Some((Token::Name(first), ..))) = (token, rest.first()) else { continue };
        let (mut path, mut next) = (vec![*first], 1);
        while let Some((below, _, taken)) = below(&rest[next..]) {
            path.push(below);
            next += taken;
        }
        let name = match rest.get(next..next + 2) {
            Some([(Token::Name("as"), ..), (Token::Name(alias), ..)]) => *alias,
            _ => path.last().copied().unwrap_or(first),
        };
        imports.insert(name, path.join("."));
    }
    imports
}

/// The policy with imported functions called by their full names, which is the only way that regorus knows: `b.f(x)` is
/// `data.a.b.f(x)`. Lines stay what they are.
pub(super) fn with_full_calls(policy: &str) -> String {
    let imports = imports(policy);
    let mut text = policy.to_owned();
    for mention in mentions(policy).into_iter().rev().filter(|mention| mention.called) {
        if let Some(path) = imports.get(mention.root).filter(|path| path.starts_with("data.")) {
            text.replace_range(mention.offset..mention.offset + mention.root.len(), path);
        }
    }
    text
}

/// The names of the rules that a policy defines, sorted: what stands at the beginning of a line.
pub(super) fn rules(policy: &str) -> BTreeSet<&str> {
    const WORDS: [&str; 9] = ["package", "import", "default", "else", "some", "every", "not", "if", "with"];
    let at_start = |offset: usize| offset == 0 || policy.as_bytes().get(offset - 1) == Some(&b'\n');
    let tokens = tokens(policy);
    let mut rules = BTreeSet::new();
    for (position, (token, offset, _)) in tokens.iter().enumerate() {
        let (Token::Name(name), true) = (token, at_start(*offset)) else { continue };
        let defined = match (*name, tokens.get(position + 1)) {
            ("default", Some((Token::Name(name), ..))) => *name,
            (name, _) => name,
        };
        if !WORDS.contains(&defined) {
            rules.insert(defined);
        }
    }
    rules
}

/// Line and column of a byte, both from 1; a column counts characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> (u64, u64) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line as u64, column as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(policy: &str) -> Vec<String> {
        mentions(policy).into_iter().map(|mention| format!("{}:{}", mention.root, mention.path.join("/"))).collect()
    }

    #[test]
    fn names_are_followed_as_far_as_they_are_written_out() {
        assert_eq!(said(r#"input.tables["volume"][x].y"#), ["input:tables/volume", "x:"]);
        assert_eq!(said("a := time.now_ns() - input.params.days"), ["a:", "time:now_ns", "input:params/days"]);
    }

    #[test]
    fn comments_texts_and_packages_mention_nothing() {
        assert_eq!(said("package data.x # input.a\nb == \"input.c \\\" input.d\" # e"), ["package:", "b:"]);
        assert_eq!(said("x == `input.y\\`"), ["x:"]);
    }

    #[test]
    fn imports_have_their_last_name_or_the_one_that_they_are_given() {
        let found = imports("import data.a.b\nimport input.c as d\nimport rego.v1\nx := 1");
        let found: Vec<String> = found.into_iter().map(|(name, path)| format!("{name}={path}")).collect();
        assert_eq!(found, ["b=data.a.b", "d=input.c", "v1=rego.v1"]);
    }

    #[test]
    fn imported_functions_are_called_by_their_full_names() {
        let policy = "import data.a.b\nimport data.c.g as h\nx := b.f(h(1)) + b.y + f(2) # b.f(3)";
        let expected = "import data.a.b\nimport data.c.g as h\nx := data.a.b.f(data.c.g(1)) + b.y + f(2) # b.f(3)";
        assert_eq!(with_full_calls(policy), expected);
    }

    #[test]
    fn an_open_text_ends_with_the_policy() {
        assert_eq!(said("x == \"input.y"), ["x:"]);
        assert_eq!(said("x == \"\\"), ["x:"]);
    }

    #[test]
    fn rules_are_what_begins_a_line() {
        let policy = "package p\nimport data.q\ndefault a := 1\na := 2 if {\n\tx := 1\n} else := 3\nf(x) := x\ndeny contains y if y := 1\n";
        assert_eq!(rules(policy).into_iter().collect::<Vec<_>>(), ["a", "deny", "f"]);
    }

    #[test]
    fn a_place_counts_lines_and_characters() {
        assert_eq!(line_and_column("a\nbä c", "a\nbä ".len()), (2, 4));
    }
}
