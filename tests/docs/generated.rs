//! Pages that are generated from the program.

use super::{aws_events, below, components, controls, inventory, matrix, read, root, sql};

/// The variable that has the pages written anew instead of compared.
const UPDATE: &str = "TIDEGATE_UPDATE_DOCS";

/// Compares a page with what the program says, or writes it.
fn is_current(name: &str, text: &str) {
    let page = root().join("docs/reference").join(name);
    if std::env::var_os(UPDATE).is_some() {
        let folder = page.parent().expect("a page is in a folder");
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(&page, text).expect("the page can be written");
        return;
    }
    let present = if page.exists() { read(&page) } else { String::new() };
    let first = present.lines().zip(text.lines()).position(|(present, wanted)| present != wanted);
    let line = first.unwrap_or_else(|| present.lines().count().min(text.lines().count()));
    assert!(
        present == text,
        "docs/reference/{name} is not what the program says, from line {} on:\n  page:    {}\n  program: {}\n\
         run `{UPDATE}=1 cargo test --workspace --test docs` and look at the difference",
        line + 1,
        present.lines().nth(line).unwrap_or("(its end)"),
        text.lines().nth(line).unwrap_or("(its end)"),
    );
}

#[test]
fn the_page_of_commands_is_current() {
    is_current("cli.md", &components::commands());
}

#[test]
fn the_page_of_components_is_current() {
    is_current("components.md", &components::kinds());
}

#[test]
fn the_pages_of_tables_are_current() {
    inventory::tables().iter().for_each(|(name, page)| is_current(name, page));
}

#[test]
fn the_pages_of_controls_are_current() {
    let pages = controls::pages();
    pages.iter().for_each(|(name, page)| is_current(name, page));
    let folder = root().join("docs/reference/controls");
    let mut stray = below(&folder).into_iter().filter(|page| {
        let name = page.strip_prefix(root().join("docs/reference")).expect("it is inside").display().to_string();
        !pages.iter().any(|(known, _)| *known == name)
    });
    assert_eq!(stray.next(), None, "a page of a control that is gone");
}

#[test]
fn the_page_of_what_is_shown_of_sources_is_current() {
    is_current("sources.md", &matrix::page());
}

#[test]
fn the_page_of_the_events_of_aws_is_current() {
    is_current("aws-events.md", &aws_events::page());
}

#[test]
fn the_page_of_sql_is_current() {
    is_current("sql.md", &sql::page());
}
