//! Links, headings and code blocks of a Markdown text.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A link or image, and the line (from 1) on which it starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) line: usize,
    pub(crate) target: String,
}

pub(crate) fn links(text: &str) -> Vec<Link> {
    let events = parser(text).into_offset_iter();
    events.filter_map(|(event, at)| Some(link(destination(event)?, text, at.start))).collect()
}

/// Returns the anchors of all headings, as GitHub and mdBook name them, and the `id`s of HTML tags.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut anchors = Vec::new();
    let mut heading: Option<String> = None;
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                anchors.extend(heading.take().as_deref().map(slug));
            }
            Event::Text(piece) | Event::Code(piece) => {
                heading.iter_mut().for_each(|text| text.push_str(&piece));
            }
            Event::InlineHtml(tag) | Event::Html(tag) => anchors.extend(id(&tag)),
            _ => {}
        }
    }
    anchors
}

/// Returns the value of the attribute `id` of an HTML tag.
fn id(tag: &str) -> Option<String> {
    let (_, value) = tag.split_once("id=\"")?;
    value.split_once('"').map(|(id, _)| id.to_owned())
}

/// The fenced code blocks in this language.
pub(crate) fn code_blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for event in parser(text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) if &*info == language => {
                block = Some(String::new());
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(block.take()),
            Event::Text(piece) => block.iter_mut().for_each(|text| text.push_str(&piece)),
            _ => {}
        }
    }
    blocks
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

fn destination(event: Event<'_>) -> Option<String> {
    match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    }
}

fn link(target: String, text: &str, at: usize) -> Link {
    let line = 1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
    Link { line, target }
}

fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_with_their_line_but_not_in_code() {
        let text = "# A\n\nSee [b](b.md)\nand `[c](c.md)`.\n\n| t |\n|---|\n| ![d](d.png) |\n";
        let found = [(3, "b.md"), (8, "d.png")];
        let found = found.map(|(line, target)| Link { line, target: target.to_owned() });
        assert_eq!(links(text), found);
    }

    #[test]
    fn an_anchor_is_the_heading_in_lower_case_without_punctuation() {
        assert_eq!(anchors("## One `access`, end to end\n\ntext\n"), ["one-access-end-to-end"]);
    }

    #[test]
    fn an_id_of_html_is_an_anchor() {
        assert_eq!(
            anchors("# <a id=\"here\"></a>A b\n\n<a id=\"there\"></a>\n"),
            ["here", "a-b", "there"]
        );
    }

    #[test]
    fn only_code_blocks_of_the_language_are_taken() {
        assert_eq!(
            code_blocks("```sh\none\ntwo\n```\n\n```text\nthree\n```\n", "sh"),
            ["one\ntwo\n"]
        );
    }
}
