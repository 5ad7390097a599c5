//! Options from the command line: `--arg KEY=VALUE`.

use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use crate::exit::Failure;
use crate::load::PipelineFile;

/// What was given of an option.
enum Given<'a> {
    Value(&'a str),
    Map(Members<'a>),
}

/// Options by their names, in the order in which they were given.
#[derive(Default)]
struct Members<'a>(Vec<(&'a str, Given<'a>)>);

/// What `made` makes of options from the command line; `whose` are they, in a message.
///
/// # Errors
/// When they are no options, or not good ones: then it has been shown what is wrong with each.
pub(in crate::command) fn read<T>(
    arguments: &[String],
    whose: &str,
    made: impl FnOnce(&Options) -> Result<T, Vec<Diagnostic>>,
) -> Result<T, Failure> {
    let text = yaml(arguments)?;
    let read = Options::parse(&text).and_then(|options| made(&options));
    read.map_err(|wrong| {
        PipelineFile { name: "--arg".to_owned(), text }.show(&wrong);
        Failure::usage(format!("the options of {whose} are not valid"))
    })
}

/// `KEY=VALUE` pairs as the YAML that a pipeline would hold. The key may go deeper, `since.path=id`; values are YAML. A
/// key in quotes is one name, whatever it holds.
///
/// # Errors
/// When a pair is none, or contradicts another.
fn yaml(arguments: &[String]) -> Result<String, Failure> {
    let mut members = Members::default();
    for argument in arguments {
        let (key, value) = argument.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--arg {argument}: wanted KEY=VALUE, as in `--arg path=events.jsonl`"))
        })?;
        let path: Vec<&str> = if key.starts_with(['"', '\'']) { vec![key] } else { key.split('.').collect() };
        if !members.set(&path, value) {
            return Err(Failure::usage(format!("--arg {key}: it is given twice, or is both a value and a map")));
        }
    }
    let mut text = String::new();
    members.write("", &mut text);
    Ok(if text.is_empty() { "{}\n".to_owned() } else { text })
}

impl<'a> Members<'a> {
    /// Whether there was room for it.
    fn set(&mut self, path: &[&'a str], value: &'a str) -> bool {
        let Some((name, deeper)) = path.split_first() else { return false };
        let known = self.0.iter_mut().find(|(known, _)| known == name);
        match (known, deeper) {
            (None, []) => self.0.push((name, Given::Value(value))),
            (None, deeper) => {
                let mut members = Members::default();
                members.set(deeper, value);
                self.0.push((name, Given::Map(members)));
            }
            (Some((_, Given::Map(members))), [_, ..]) => return members.set(deeper, value),
            (Some(_), _) => return false,
        }
        true
    }

    fn write(&self, indent: &str, text: &mut String) {
        for (name, given) in &self.0 {
            match given {
                Given::Value(value) => {
                    let value = value.replace('\n', &format!("\n{indent}"));
                    text.push_str(&format!("{indent}{name}: {value}\n"));
                }
                Given::Map(members) => {
                    text.push_str(&format!("{indent}{name}:\n"));
                    members.write(&format!("{indent}  "), text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(arguments: &[&str]) -> Option<String> {
        yaml(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>()).ok()
    }

    #[test]
    fn keys_go_deeper_by_dots_and_values_are_yaml() {
        let given = ["url=http://a.b/c=d", "since.path=x.y", "topics=[a, b]", "since.parameter=from", "\"a.b\"=1"];
        let expected = "url: http://a.b/c=d\nsince:\n  path: x.y\n  parameter: from\ntopics: [a, b]\n\"a.b\": 1\n";
        assert_eq!(written(&given).as_deref(), Some(expected));
        assert_eq!(written(&[]).as_deref(), Some("{}\n"));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for pair in [["a=1", "a=2"], ["a=1", "a.b=2"], ["a.b=1", "a={}"], ["a.b=1", "a.b=2"], ["a=1", "b"]] {
            assert_eq!(written(&pair), None, "{pair:?}");
        }
    }
}
