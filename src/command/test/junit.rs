//! Test outcomes as JUnit XML, which build servers read.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Outcome;
use crate::xml::escaped;

/// The report: a suite for each subject.
pub(super) fn report(outcomes: &[Outcome], took: Duration) -> String {
    let mut suites: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        suites.entry(&outcome.subject).or_default().push(outcome);
    }
    let all: Vec<&Outcome> = outcomes.iter().collect();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    text.push_str(&format!("<testsuites {} time=\"{:.3}\">\n", counts(&all), took.as_secs_f64()));
    for (subject, outcomes) in suites {
        let took: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
        let (name, counts) = (escaped(subject), counts(&outcomes));
        text.push_str(&format!("  <testsuite name=\"{name}\" {counts} time=\"{:.3}\">\n", took.as_secs_f64()));
        outcomes.iter().for_each(|outcome| text.push_str(&case(outcome)));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn counts(outcomes: &[&Outcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    format!("tests=\"{}\" failures=\"{failed}\"", outcomes.len())
}

fn case(outcome: &Outcome) -> String {
    let file = outcome.place.split(':').next().unwrap_or_default();
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" time=\"{:.3}\"",
        escaped(&outcome.subject),
        escaped(&outcome.name),
        escaped(file),
        outcome.took.as_secs_f64(),
    );
    if outcome.passed {
        return format!("{head}/>\n");
    }
    let first = escaped(outcome.message.lines().next().unwrap_or_default());
    let whole = escaped(&format!("{}: {}", outcome.place, outcome.message));
    format!("{head}>\n      <failure message=\"{first}\">{whole}</failure>\n    </testcase>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_escaped_and_counted() {
        let outcome = |name: &str, message: &str| Outcome {
            subject: "a \"pack\"".to_owned(),
            name: name.to_owned(),
            place: "tests/a.yaml:3".to_owned(),
            passed: message.is_empty(),
            message: message.to_owned(),
            took: Duration::from_millis(1_500),
        };
        let text = report(&[outcome("fine", ""), outcome("a < b & c", "1 <> 2\u{1}\nmore")], Duration::from_secs(3));
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" failures="1" time="3.000">
  <testsuite name="a &quot;pack&quot;" tests="2" failures="1" time="3.000">
    <testcase classname="a &quot;pack&quot;" name="fine" file="tests/a.yaml" time="1.500"/>
    <testcase classname="a &quot;pack&quot;" name="a &lt; b &amp; c" file="tests/a.yaml" time="1.500">
      <failure message="1 &lt;&gt; 2�">tests/a.yaml:3: 1 &lt;&gt; 2�
more</failure>
    </testcase>
  </testsuite>
</testsuites>
"#;
        assert_eq!(text, expected);
    }
}
