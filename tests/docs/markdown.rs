//! As much of Markdown as the tests need: code blocks and links.

/// A fenced block of code.
pub(crate) struct CodeBlock {
    /// The line of its opening fence, from 1.
    pub(crate) line: usize,
    /// The word behind the fence: `yaml`, `sh`.
    pub(crate) language: String,
    /// The line before the fence.
    pub(crate) before: String,
    /// What it holds.
    pub(crate) text: String,
}

/// All fenced blocks of a page.
pub(crate) fn code_blocks(page: &str) -> Vec<CodeBlock> {
    let mut blocks: Vec<CodeBlock> = Vec::new();
    let (mut open, mut before) = (false, "");
    for (index, line) in page.lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                let (language, before) = (language.trim().to_owned(), before.to_owned());
                blocks.push(CodeBlock { line: index + 1, language, before, text: String::new() });
            }
            None if open => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            None => {}
        }
        before = line;
    }
    blocks
}

/// The page without its code.
pub(crate) fn prose(page: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            // Code inside a line: every second piece between back-ticks.
            line.split('`').step_by(2).for_each(|piece| text.push_str(piece));
            text.push('\n');
        }
    }
    text
}

/// The targets of all links `[text](target)`.
pub(crate) fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors that a page's headings have, as forges make them.
pub(crate) fn anchors(page: &str) -> Vec<String> {
    let mut inside = false;
    let mut anchors = Vec::new();
    for line in page.lines() {
        inside ^= line.starts_with("```");
        if let (false, Some(heading)) = (inside, line.strip_prefix('#')) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            anchors.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    anchors
}
