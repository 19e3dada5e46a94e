//! HTML into which nothing foreign gets unescaped: only what is written in this program goes in as it is.

use axum::response::Html as Page;

#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Our own: by its type it cannot be anything that came from outside.
    pub(super) fn raw(&mut self, html: &'static str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    /// Anybody's: shown as it is, between tags or within a quoted attribute.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                // Those that turn the direction of what follows would lie about it.
                '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => self.0.push('\u{FFFD}'),
                c if c.is_control() => self.0.push('\u{FFFD}'),
                c => self.0.push(c),
            }
        }
        self
    }

    pub(super) fn number(&mut self, number: impl Into<i128>) -> &mut Self {
        self.0.push_str(&number.into().to_string());
        self
    }

    pub(super) fn add(&mut self, other: Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    pub(super) fn whole(self) -> Page<String> {
        Page(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_foreign_stays_text() {
        let mut html = Html::default();
        html.raw("<p>").text("<script>\"'&\u{0}\u{202E}").raw("</p>").number(-3);
        assert_eq!(html.whole().0, "<p>&lt;script&gt;&quot;&#39;&amp;\u{FFFD}\u{FFFD}</p>-3");
    }
}
