//! What is done to people's words before they are shown.

/// The name without anything that could break out of its line or turn around what is next to it,
/// and cut to so many characters.
pub(crate) fn line(name: &str, max: usize) -> String {
    cut(name.chars().filter(|it| !is_invisible(*it)), max)
}

/// The sentence in one line, cut to so many characters.
pub(crate) fn header(sentence: &str, max: usize) -> String {
    let breaks = ['\u{2028}', '\u{2029}'];
    cut(sentence.chars().filter(|it| !breaks.contains(it)), max)
}

fn cut(mut characters: impl Iterator<Item = char>, max: usize) -> String {
    let mut text: String = characters
        .by_ref()
        .take(max)
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    if characters.next().is_some() {
        text.pop();
        text.push('\u{2026}');
    }
    text
}

/// The text with line breaks that are all alike, and without other control characters.
pub(crate) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace('\r', "\n")
        .chars()
        .filter(|character| !character.is_control() || matches!(character, '\n' | '\t'))
        .collect()
}

/// The text as it stands in HTML, also within an attribute.
pub(crate) fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

/// The text, kept from turning around what is next to it if it is written from right to left.
pub(crate) fn isolate(text: &str, out: &mut String) {
    if text.chars().any(is_right_to_left) {
        out.push('\u{2068}');
        out.push_str(text);
        out.push('\u{2069}');
    } else {
        out.push_str(text);
    }
}

/// What names in guestlist can't have either, besides control characters.
const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{061c}' | '\u{00ad}' | '\u{fff9}'..='\u{fffb}')
}

const fn is_right_to_left(character: char) -> bool {
    matches!(character,
        '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("a\r\nBcc: b\u{202e}c\u{2028}d", 99), "a  Bcc: bcd");
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line("abcd", 3), "ab\u{2026}");
        assert_eq!(line(&"\u{200b}".repeat(9), 3), "");
        let isolated = "\u{2068}a\u{2069}";
        assert_eq!(header(isolated, 3), isolated);
        assert_eq!(header("a\r\nb\u{2029}c", 3), "a \u{2026}");
    }

    #[test]
    fn line_breaks_are_alike() {
        assert_eq!(lines("a\r\nb\rc\n\0d\te"), "a\nb\nc\nd\te");
    }

    #[test]
    fn markup_is_text() {
        let mut out = String::new();
        escape("<script>'\"&", &mut out);
        assert_eq!(out, "&lt;script&gt;&#39;&quot;&amp;");
    }
}
