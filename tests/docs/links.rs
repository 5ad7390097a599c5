//! Links inside the repository lead somewhere.

use super::{markdown, pages, read, root};

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = read(&page);
        for link in markdown::links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(path, anchor)| (path, Some(anchor)));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap_or(root()).join(path) };
            let missing = !target.exists();
            let lost = !missing
                && anchor.is_some_and(|anchor| !markdown::anchors(&read(&target)).contains(&anchor.to_owned()));
            if missing || lost {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_page_of_docs_is_reached_from_its_start_page() {
    let docs = root().join("docs");
    let start = docs.join("README.md");
    let linked_by = |page: &std::path::Path| -> Vec<_> {
        let folder = page.parent().unwrap_or(&docs);
        markdown::links(&read(page)).iter().filter_map(|link| folder.join(link).canonicalize().ok()).collect()
    };
    let mut linked = linked_by(&start);
    // There are too many controls for the start page: their lists link them.
    let lists = ["reference/controls-aws.md", "reference/controls-host.md"].map(|list| docs.join(list));
    linked.extend(lists.iter().flat_map(|list| linked_by(list)));
    let inside = pages().into_iter().filter(|page| page.starts_with(&docs) && *page != start);
    let lost: Vec<_> = inside.filter(|page| !linked.contains(&page.canonicalize().unwrap_or_default())).collect();
    assert!(lost.is_empty(), "docs/README.md does not link {lost:?}");
}
