//! The pack that `write-a-control.md` shows, put together from the page.

use super::{markdown, read, root, tidegate_in};

#[test]
fn the_pack_in_the_how_to_passes_its_own_tests() {
    let page = read(&root().join("docs/how-to/write-a-control.md"));
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["pack.yaml", "users/controls.yaml", "users/user_no_guest.sql", "tests/user_no_guest.yaml"];
    for name in names {
        // "`pack.yaml`:", an empty line, and the block.
        let (_, rest) = page.split_once(&format!("\n`{name}`:\n")).expect("the page shows the file");
        let text = &markdown::code_blocks(rest).into_iter().next().expect("a block follows").text;
        let file = folder.path().join("my-pack").join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(file, text).expect("the file can be written");
    }
    let output = tidegate_in(folder.path(), &["test", "my-pack"]);
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{said}");
    assert!(printed.starts_with("2 passed, 0 failed"), "{printed}");
}
