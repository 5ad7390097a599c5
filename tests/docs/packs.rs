//! The pack that `write-a-control.md` shows, put together from the page.

use super::program::Folder;
use super::{markdown, read, root};

#[test]
fn the_pack_in_the_how_to_passes_its_own_tests() {
    let names = ["pack.yaml", "users/controls.yaml", "users/user_no_guest.sql", "tests/user_no_guest.yaml"];
    let printed = tested("docs/how-to/write-a-control.md", "", &names);
    assert!(printed.starts_with("2 passed, 0 failed"), "{printed}");
}

#[test]
fn the_policy_in_the_how_to_passes_its_own_tests() {
    let names = ["pack.yaml", "users/controls.yaml", "users/user_shells.rego", "tests/user_shells.yaml"];
    let printed = tested("docs/how-to/bring-rego.md", "my-pack/", &names);
    assert!(printed.starts_with("1 passed, 0 failed"), "{printed}");
}

/// What `tidegate test` says of the pack that a page shows, its files called by their names after `prefix`.
fn tested(page: &str, prefix: &str, names: &[&str]) -> String {
    let page = read(&root().join(page));
    let folder = Folder::new();
    for name in names {
        // "`pack.yaml`:", an empty line, and the block.
        let (_, rest) = page.split_once(&format!("\n`{prefix}{name}`:\n")).expect("the page shows the file");
        let text = &markdown::code_blocks(rest).into_iter().next().expect("a block follows").text;
        folder.write(&format!("my-pack/{name}"), text);
    }
    folder.run(&["test", "my-pack"]).code(0).stdout
}
