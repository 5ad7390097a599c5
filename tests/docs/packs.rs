//! The pack that `write-a-control.md` shows, put together from the page.

use super::program::Folder;
use super::{markdown, read, root};

#[test]
fn the_pack_in_the_how_to_passes_its_own_tests() {
    let page = read(&root().join("docs/how-to/write-a-control.md"));
    let folder = Folder::new();
    let names = ["pack.yaml", "users/controls.yaml", "users/user_no_guest.sql", "tests/user_no_guest.yaml"];
    for name in names {
        // "`pack.yaml`:", an empty line, and the block.
        let (_, rest) = page.split_once(&format!("\n`{name}`:\n")).expect("the page shows the file");
        let text = &markdown::code_blocks(rest).into_iter().next().expect("a block follows").text;
        folder.write(&format!("my-pack/{name}"), text);
    }
    let printed = folder.run(&["test", "my-pack"]).code(0).stdout;
    assert!(printed.starts_with("2 passed, 0 failed"), "{printed}");
}
