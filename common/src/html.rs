//! HTML into which nothing foreign gets unescaped: only what is written in a program goes in as it is.

use axum::response::Html as Page;

/// A piece of a page.
#[derive(Debug, Default, Clone)]
pub struct Html(String);

/// Writes into an [`Html`]: what is a literal goes in as it is, what is in parentheses is [shown](Show).
///
/// ```
/// let (mut page, name) = (common::html::Html::default(), "<b>");
/// common::html!(page, "<td>" (name) "</td><td>" (7) "</td>");
/// assert_eq!(page.as_str(), "<td>&lt;b&gt;</td><td>7</td>");
/// ```
#[macro_export]
macro_rules! html {
    ($html:expr, $($piece:tt)*) => {{ $($crate::html!(@ $html, $piece);)* }};
    (@ $html:expr, ($shown:expr)) => { $crate::html::Show::show(&$shown, &mut $html) };
    (@ $html:expr, $raw:literal) => { $html.raw($raw) };
}

/// What can be put into a page.
pub trait Show {
    fn show(&self, html: &mut Html);
}

impl Html {
    /// Our own: by its type it cannot be anything that came from outside.
    pub fn raw(&mut self, html: &'static str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    /// Anybody's: shown as it is, between tags or within a quoted attribute.
    pub fn text(&mut self, text: &str) -> &mut Self {
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

    pub fn number(&mut self, number: impl Into<i128>) -> &mut Self {
        self.0.push_str(&number.into().to_string());
        self
    }

    pub fn add(&mut self, other: Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn whole(self) -> Page<String> {
        Page(self.0)
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn show(&self, html: &mut Html) {
        (**self).show(html);
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self, html: &mut Html) {
        if let Some(shown) = self {
            shown.show(html);
        }
    }
}

impl Show for str {
    fn show(&self, html: &mut Html) {
        html.text(self);
    }
}

impl Show for String {
    fn show(&self, html: &mut Html) {
        html.text(self);
    }
}

impl Show for std::borrow::Cow<'_, str> {
    fn show(&self, html: &mut Html) {
        html.text(self);
    }
}

impl Show for Html {
    fn show(&self, html: &mut Html) {
        html.0.push_str(&self.0);
    }
}

macro_rules! show_numbers {
    ($($number:ty),*) => {
        $(impl Show for $number {
            fn show(&self, html: &mut Html) {
                html.0.push_str(&self.to_string());
            }
        })*
    };
}

show_numbers!(i16, i32, i64, u16, u32, u64, usize, uuid::Uuid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_foreign_stays_text() {
        let mut html = Html::default();
        html.raw("<p>").text("<script>\"'&\u{0}\u{202E}").raw("</p>").number(-3);
        assert_eq!(html.as_str(), "<p>&lt;script&gt;&quot;&#39;&amp;\u{FFFD}\u{FFFD}</p>-3");
    }

    #[test]
    fn only_literals_go_in_as_they_are() {
        let (foreign, mut html) = ("<i>".to_owned(), Html::default());
        let inner = html.clone();
        crate::html!(html, "<a title=\"" (foreign) "\">" (Some(1_i64)) (inner) (None::<&str>) (&foreign[1..2]) "</a>");
        assert_eq!(html.as_str(), "<a title=\"&lt;i&gt;\">1i</a>");
    }
}
