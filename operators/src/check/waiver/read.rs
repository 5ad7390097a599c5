//! Text → waivers.

use std::collections::BTreeSet;

use tidegate_pipeline::spec::diagnostic::{Located, Place};
use tidegate_pipeline::spec::{Tree, Variables, parse};
use tidegate_pipeline::step::StepTime;

use super::{Waiver, Waivers};
use crate::check::moment::moment;
use crate::check::pack::{Fields, PackProblem, Problems};

const FIELDS: [&str; 9] = ["id", "control", "resource", "account", "region", "reason", "owner", "created", "expires"];
/// What stands for no end.
const NEVER: &str = "never";

pub(super) fn read(file: &str, contents: &[u8]) -> (Waivers, Vec<PackProblem>) {
    let mut list = Vec::new();
    let mut waivers = Vec::new();
    let mut problems = Problems { file: file.into(), list: &mut list };
    for entry in &entries(contents, &mut problems) {
        let found: BTreeSet<&str> = waivers.iter().map(|waiver: &Waiver| &*waiver.id).collect();
        if let Some(waiver) = one(entry, &found, &mut problems) {
            waivers.push(waiver);
        }
    }
    (Waivers(waivers), list)
}

/// The entries of a file: a list, or a map with the list `waivers`. Nothing where there is nothing in it.
fn entries(contents: &[u8], problems: &mut Problems<'_>) -> Vec<Located<Tree>> {
    let text = match std::str::from_utf8(contents) {
        Ok(text) if text.trim().is_empty() => return Vec::new(),
        Ok(text) => text,
        Err(error) => {
            problems.add(Place::default(), format!("not UTF-8 from byte {} on", error.valid_up_to()));
            return Vec::new();
        }
    };
    match parse(text, &Variables::literal()) {
        Err(found) => {
            for wrong in found {
                problems.add_with_help(wrong.place, format!("not valid YAML: {}", wrong.message), wrong.help);
            }
            Vec::new()
        }
        Ok(Located { value: Tree::List(entries), .. }) => entries,
        Ok(Located { value: Tree::Null, .. }) => Vec::new(),
        Ok(tree) => match Fields::of(&tree, "a file of waivers", &["waivers"], problems) {
            Some(fields) => fields.list("waivers", problems).to_vec(),
            None => Vec::new(),
        },
    }
}

fn one(entry: &Located<Tree>, known: &BTreeSet<&str>, problems: &mut Problems<'_>) -> Option<Waiver> {
    let fields = Fields::of(entry, "a waiver", &FIELDS, problems)?;
    let id = fields.required("id", "the waiver", problems);
    let what = id.as_ref().map_or_else(|| "the waiver".to_owned(), |id| format!("waiver `{}`", id.value));
    let mut required = |name: &str| fields.required(name, &what, problems).map(|text| text.value);
    let (control, resource) = (required("control"), required("resource"));
    let (reason, owner) = (required("reason"), required("owner"));
    let expires = match fields.required("expires", &what, problems) {
        Some(text) if text.value == NEVER => Some(None),
        Some(text) => time("expires", &text, problems).map(Some),
        None => None,
    };
    let created = fields.text("created", problems).map(|text| time("created", &text, problems));
    let mut optional = |name: &str| fields.text(name, problems).map(|text| text.value);
    let (account, region) = (optional("account"), optional("region"));
    let id = id?;
    if known.contains(id.value.as_str()) {
        problems.add(id.place, format!("{what} is there twice"));
        return None;
    }
    Some(Waiver {
        id: id.value.into(),
        control: control?,
        resource: resource?,
        account,
        region,
        reason: reason?.into(),
        owner: owner?,
        created: created.flatten(),
        expires: expires?,
        place: entry.place,
    })
}

fn time(name: &str, text: &Located<String>, problems: &mut Problems<'_>) -> Option<StepTime> {
    let read = moment(&text.value);
    if read.is_none() {
        let help = match name {
            "expires" => "write a date like 2026-04-01, or `never`",
            _ => "write a date like 2026-04-01",
        };
        problems.add_with_help(text.place, format!("`{name}: {}` is no date", text.value), Some(help.to_owned()));
    }
    read
}
