//! Reasons: what of one differs from letter to letter, and which words it is found by.

/// Longer patterns are cut: the beginning tells groups apart.
const PATTERN_MOST: usize = 200;
/// Words of a reason that it is found by, and their length.
const WORDS_MOST: usize = 48;
const WORD_MOST: usize = 64;

/// The reason with numbers, ids, addresses and quoted values left out, so that the same trouble gives the same text.
pub(crate) fn pattern(reason: &str) -> String {
    let mut pattern = String::with_capacity(reason.len().min(PATTERN_MOST));
    let mut rest = reason;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        if pattern.len() >= PATTERN_MOST {
            break;
        }
        let quoted =
            quotes(first, after_word).and_then(|end| Some(rest.get(first.len_utf8()..)?.find(end)? + end.len_utf8()));
        if let Some(length) = quoted {
            pattern.push('…');
            rest = rest.get(first.len_utf8() + length..).unwrap_or_default();
            after_word = false;
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (token, after) = rest.split_at(end);
            let (token, trailing) = token.split_at(token.trim_end_matches(['.', ':', '-']).len());
            let differs = token.contains(|c: char| c.is_ascii_digit() || c == '@');
            pattern.push_str(if differs { "#" } else { token });
            pattern.push_str(trailing);
            rest = after;
            after_word = true;
        } else {
            pattern.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            after_word = false;
        }
    }
    pattern
}

/// What closes the quotation that this character may open.
fn quotes(open: char, after_word: bool) -> Option<char> {
    match open {
        '"' | '`' => Some(open),
        // Not that of "doesn't".
        '\'' if !after_word => Some('\''),
        '“' => Some('”'),
        '«' => Some('»'),
        _ => None,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | ':')
}

/// The words of a text, in lower case, each once.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word: String = word.chars().take(WORD_MOST).flat_map(char::to_lowercase).collect();
        if !words.contains(&word) {
            words.push(word);
        }
        if words.len() == WORDS_MOST {
            break;
        }
    }
    words
}

/// A text that PostgreSQL takes and that does no harm to a terminal: no control characters, and of bounded length.
pub(crate) fn clean(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_letter_to_letter_is_left_out() {
        for (one, other, expected) in [
            ("no answer within 3000 ms", "no answer within 2500 ms", "no answer within # ms"),
            (
                "order ORD0193A0C0D0E0F0000000000000000000 is gone",
                "order ORD0193A0C0D0E0F0000000000000000001 is gone",
                "order # is gone",
            ),
            ("product \"P001\" isn't there", "product \"chair\" isn't there", "product … isn't there"),
            ("mail to a@b.example bounced: 550", "mail to c@d bounced: 551", "mail to # bounced: #"),
            ("user 'x' (id=17): refused.", "user 'y y' (id=4): refused.", "user … (id=#): refused."),
        ] {
            assert_eq!((pattern(one).as_str(), pattern(other).as_str()), (expected, expected));
        }
        assert_eq!(pattern("an open \"quote"), "an open \"quote");
        assert!(pattern(&"é".repeat(5_000)).len() < 12_000);
    }

    #[test]
    fn words_are_bounded_and_found_once() {
        assert_eq!(words("Gateway: no-answer, GATEWAY!"), ["gateway", "no", "answer"]);
        assert_eq!(words(&"w1 w2 w3 ".repeat(50)).len(), 3);
        assert_eq!(words(&(0..100).map(|n| format!("w{n} ")).collect::<String>()).len(), WORDS_MOST);
        assert_eq!(clean("a\0b\u{1b}[31m", 4), "a b ");
    }
}
