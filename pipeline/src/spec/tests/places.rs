//! Offsets inside of values lead back to the file.

use super::*;

/// What the file says at the place of `part` in the value of the key `a`.
fn found(text: &str, part: &str) -> (String, u32, u32) {
    let options = Options::parse(text).unwrap();
    let Tree::Map(entries) = &options.tree.value else { panic!("a map") };
    let (_, value) = &entries[0];
    let Tree::Text(value_text) = &value.value else { panic!("text") };
    let located = Located::new(value_text.clone(), value.place);
    let place = options.place_in(&located, value_text.find(part).unwrap(), part.len());
    (text[place.offset..place.offset + place.length].to_owned(), place.line, place.column)
}

fn says(part: &str, line: u32, column: u32) -> (String, u32, u32) {
    (part.to_owned(), line, column)
}

#[test]
fn in_plain_text() {
    assert_eq!(found("a: x = yy", "yy"), says("yy", 1, 8));
    assert_eq!(found("é: ü = yy", "yy"), says("yy", 1, 8));
    assert_eq!(found("a: x\n  yy\n\n  zz", "zz"), says("zz", 4, 3));
    assert_eq!(found("{b: x = yy}", "yy"), says("yy", 1, 9));
}

#[test]
fn in_quoted_text() {
    assert_eq!(found("a: 'it''s yy'", "yy"), says("yy", 1, 11));
    assert_eq!(found(r#"a: "x \" yy""#, "yy"), says("yy", 1, 10));
    assert_eq!(found("a: \"x\n   yy\"", "yy"), says("yy", 2, 4));
}

#[test]
fn in_blocks() {
    assert_eq!(found("a: |\n  x\n    yy\n\n  zz\nb: 1", "yy"), says("yy", 3, 5));
    assert_eq!(found("a: |-\n  x\n    yy\n\n  zz\nb: 1", "zz"), says("zz", 5, 3));
    assert_eq!(found("a: |\r\n  x\r\n  yy\r\n", "yy"), says("yy", 3, 3));
    assert_eq!(found("a: >-\n  x\n  yy\n", "yy"), says("yy", 3, 3));
}

#[test]
fn after_a_byte_order_mark() {
    assert_eq!(found("\u{feff}a: x yy", "yy"), says("yy", 1, 6));
}

#[test]
fn of_what_cannot_be_mapped_the_whole_is_the_place() {
    assert_eq!(found(r#"a: "x \t yy""#, "yy"), says(r#""x \t yy""#, 1, 4));
    let text = "a: ${W} yy";
    let tree = parse(text, &Variables::from_iter([("W", "longer")])).unwrap();
    let Tree::Map(entries) = &tree.value else { panic!("a map") };
    let located = Located::new("longer yy", entries[0].1.place);
    assert_eq!(located.place_at(text, 7, 2), located.place);
}

#[test]
fn a_block_map_stands_where_its_key_does() {
    let text = "a:\n  b: 1\n";
    let tree = parse(text, &Variables::none()).unwrap();
    let Tree::Map(entries) = &tree.value else { panic!("a map") };
    assert_eq!((entries[0].1.place.line, entries[0].1.place.column), (1, 1));
}

#[test]
fn an_offset_beyond_the_text_is_cut() {
    assert_eq!(
        diagnostic::Place::in_text("a\nb", 100, 5),
        diagnostic::Place { line: 2, column: 2, offset: 3, length: 0 }
    );
}
