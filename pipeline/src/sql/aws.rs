//! What AWS writes as text: ARNs, and patterns with `*` and `?`.

use super::Family;
use super::function::{Arguments, Definition, Kind, argument};
use super::wildcard::glob_matches;

/// The functions of AWS.
pub(super) static FAMILY: Family = Family { title: "AWS", functions: FUNCTIONS };

/// The positions of the parts of `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
const SERVICE: usize = 2;
const REGION: usize = 3;
const ACCOUNT: usize = 4;
const RESOURCE: usize = 5;

static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "arn_account",
        aliases: &[],
        arguments: &[argument("arn", Kind::Text)],
        repeats: false,
        result: Kind::Text,
        summary: "The account of an ARN; NULL where it names none (`arn:aws:s3:::bucket`) or is no ARN.",
        example: ("arn_account('arn:aws:sqs:eu-west-1:123456789012:jobs')", "123456789012"),
        evaluate: |arguments| arguments.give_texts(|row| part(arguments, row, ACCOUNT)),
    },
    Definition {
        name: "arn_region",
        aliases: &[],
        arguments: &[argument("arn", Kind::Text)],
        repeats: false,
        result: Kind::Text,
        summary: "The region of an ARN; NULL where it names none or is no ARN.",
        example: ("arn_region('arn:aws:sqs:eu-west-1:123456789012:jobs')", "eu-west-1"),
        evaluate: |arguments| arguments.give_texts(|row| part(arguments, row, REGION)),
    },
    Definition {
        name: "arn_service",
        aliases: &[],
        arguments: &[argument("arn", Kind::Text)],
        repeats: false,
        result: Kind::Text,
        summary: "The service of an ARN; NULL where it is no ARN.",
        example: ("arn_service('arn:aws:sqs:eu-west-1:123456789012:jobs')", "sqs"),
        evaluate: |arguments| arguments.give_texts(|row| part(arguments, row, SERVICE)),
    },
    Definition {
        name: "arn_resource",
        aliases: &[],
        arguments: &[argument("arn", Kind::Text)],
        repeats: false,
        result: Kind::Text,
        summary: "What follows the account in an ARN, with its own `:` and `/`; NULL where it is no ARN.",
        example: ("arn_resource('arn:aws:iam::123456789012:user/ann')", "user/ann"),
        evaluate: |arguments| arguments.give_texts(|row| part(arguments, row, RESOURCE)),
    },
    Definition {
        name: "glob_match",
        aliases: &[],
        arguments: &[argument("pattern", Kind::Text), argument("text", Kind::Text)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether a text fits a pattern of a policy as a whole: `*` is any text, also with `/`, `?` one \
                  character; upper and lower case differ.",
        example: ("glob_match('s3:Get*', 's3:GetObject')", "true"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| Some(glob_matches(arguments.text(0, row)?, arguments.text(1, row)?)))
        },
    },
];

fn part(arguments: &Arguments, row: usize, position: usize) -> Option<&str> {
    let parts: Vec<&str> = arguments.text(0, row)?.splitn(6, ':').collect();
    let part = match parts.as_slice() {
        ["arn", partition, service, _, _, resource]
            if !partition.is_empty() && !service.is_empty() && !resource.is_empty() =>
        {
            parts.get(position)?
        }
        _ => return None,
    };
    (!part.is_empty()).then_some(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::glob_matches;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything/at:all", true),
            ("", "", true),
            ("", "x", false),
            ("s3:Get*", "s3:GetObject", true),
            ("s3:Get*", "s3:PutObject", false),
            ("s3:get*", "s3:GetObject", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("a*b?c", "a-b-b-c", true),
            ("arn:aws:s3:::*/x", "arn:aws:s3:::b/c/x", true),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_fits_itself_and_its_pieces_between_stars(pieces in prop::collection::vec("[a-c]{0,3}", 1..5)) {
            let text = pieces.concat();
            prop_assert!(glob_matches(&text, &text));
            let joined = pieces.join("*");
            prop_assert!(glob_matches(&joined, &text));
        }
    }
}
