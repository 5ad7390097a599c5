//! Many controls: how long a pack takes to be loaded and planned.

use std::time::Instant;

use tidegate_operators::check::pack::{Pack, PackFiles};
use tidegate_operators::check::plan::{Overrides, PlannedPack, Selection};
use tidegate_pipeline::spec::ByteSize;

use super::Outcome;
use super::estate::{definitions, files};

/// Prints how long so many controls take: those of the pack `aws`, again and again under other names.
pub(crate) fn report(controls: usize) -> Outcome<()> {
    let (files, definitions) = (copied(&files()?, controls)?, definitions());
    let started = Instant::now();
    let (mut pack, problems) = Pack::load(&files, "aws");
    if !problems.is_empty() {
        return Err(format!("{problems:?}").into());
    }
    pack.controls.truncate(controls);
    let loaded = started.elapsed();
    let memory = ByteSize::mebibytes(1024);
    let (planned, problems) =
        PlannedPack::plan(&pack, &definitions, &Selection::default(), &Overrides::default(), memory)?;
    let took = started.elapsed();
    if !problems.queries.is_empty() {
        return Err(format!("{problems:?}").into());
    }
    println!("{} controls loaded in {loaded:.2?} and planned in {:.2?}", planned.controls.len(), took - loaded);
    Ok(())
}

/// The pack with enough copies of its controls, without benchmarks and tests.
fn copied(files: &PackFiles, controls: usize) -> Outcome<PackFiles> {
    let mut copies = PackFiles::default();
    let mut made = 0;
    for copy in 0.. {
        if made >= controls {
            break;
        }
        for (path, content) in files.iter() {
            let text = std::str::from_utf8(content)?;
            let mut parts = path.splitn(3, '/');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(pack), Some("pack.yaml"), None) => copies.insert(format!("{pack}/pack.yaml"), content.to_vec()),
                (_, Some("tests" | "benchmarks"), _) => {}
                (Some(pack), Some(service), Some(file)) => {
                    let text = if file.ends_with(".yaml") { renamed(text, copy, &mut made) } else { text.to_owned() };
                    copies.insert(format!("{pack}/{service}_{copy}/{file}"), text.into_bytes());
                }
                _ => {}
            }
        }
    }
    Ok(copies)
}

/// Controls under other ids, without those that they had before.
fn renamed(yaml: &str, copy: usize, made: &mut usize) -> String {
    let mut text = String::with_capacity(yaml.len());
    for line in yaml.lines().filter(|line| !line.trim_start().starts_with("aliases:")) {
        text.push_str(line);
        if line.starts_with("  - id: ") {
            *made += 1;
            text.push_str(&format!("_{copy}"));
        }
        text.push('\n');
    }
    text
}
