//! Addresses, as far as somebody may know them who only has to recognise them.

/// `j…@example.test`.
pub(super) fn email(address: &str) -> String {
    match address.split_once('@') {
        Some((local, domain)) => format!("{}…@{domain}", local.chars().take(1).collect::<String>()),
        None => "…".to_owned(),
    }
}

/// `+15…67`.
pub(super) fn phone(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    match digits.as_slice() {
        [start @ .., a, b] if start.len() > 3 => format!("{}…{a}{b}", start.iter().take(3).collect::<String>()),
        _ => "…".to_owned(),
    }
}

/// The same wherever an address stands in what another server has said.
pub(crate) fn text(text: &str) -> String {
    text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '(' | ')' | '"' | ':'))
        .map(|word| {
            let bare = word.trim_end_matches(|c: char| {
                c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '(' | ')' | '"' | ':')
            });
            let rest = word.strip_prefix(bare).unwrap_or_default();
            let digits = bare.chars().filter(char::is_ascii_digit).count();
            match bare.contains('@') {
                true => format!("{}{rest}", email(bare)),
                false if bare.starts_with('+') && digits >= 7 => format!("{}{rest}", phone(bare)),
                false => word.to_owned(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_can_be_recognised_and_not_written_to() {
        assert_eq!(email("jane@example.test"), "j…@example.test");
        assert_eq!(email("@"), "…@");
        assert_eq!(email("nobody"), "…");
        assert_eq!(phone("+15551234567"), "+15…67");
        assert_eq!(phone("+1"), "…");
        let said = "permanent error (550): <jane@example.test>: no such user, nor +15551234567; 5.1.1";
        assert_eq!(text(said), "permanent error (550): <j…@example.test>: no such user, nor +15…67; 5.1.1");
        assert_eq!(text(""), "");
    }
}
