//! Files in the shell's language, which OpenRC, netifrc and Arch's older scripts source: where a
//! command of several lines ends.

use std::ops::Range;

/// A command of such a file: an assignment, a function, or another one.
#[derive(Debug)]
pub(super) struct Command<'a> {
    /// All of it, up to the next one.
    pub(super) text: &'a str,
    /// What it gives a value or defines; empty for another command.
    pub(super) name: &'a str,
    /// The words of the value, or of the command.
    pub(super) words: Vec<Word>,
    /// Whether it may go as a whole: its lines hold nothing else, and no `if` or loop is around it.
    pub(super) is_alone: bool,
}

/// A word as the shell takes it.
#[derive(Debug)]
pub(super) struct Word {
    /// Without the quotes; what they hold may have spaces.
    pub(super) text: String,
    /// Where it is in the command.
    pub(super) place: Range<usize>,
}

/// The commands of a file, comments and empty lines among them; `None` where this reader is not
/// sure of one, as where a quote never ends.
pub(super) fn commands(text: &str) -> Option<Vec<Command<'_>>> {
    let mut found = Vec::new();
    let (mut rest, mut blocks) = (text, 0_u32);
    while !rest.is_empty() {
        let piece = Piece::read(rest, blocks > 0)?;
        let (text, after) = rest.split_at_checked(piece.end)?;
        found.push(piece.into_command(text, &mut blocks)?);
        rest = after;
    }
    (blocks == 0).then_some(found)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
    Comment,
}

/// A word, and whether it is inside parentheses or braces.
#[derive(Debug)]
struct Part {
    word: Word,
    is_inside: bool,
}

/// The first command of a text.
#[derive(Debug)]
struct Piece {
    end: usize,
    parts: Vec<Part>,
    is_function: bool,
    /// Whether a `)` may stand without its `(`.
    has_patterns: bool,
    parentheses: u32,
    braces: u32,
    open: Option<Word>,
}

impl Piece {
    /// `None` where its end is not sure. A `case` may be around it, whose patterns end with `)`.
    fn read(text: &str, in_block: bool) -> Option<Self> {
        let mut piece = Self {
            end: text.len(),
            parts: Vec::new(),
            is_function: false,
            has_patterns: in_block,
            parentheses: 0,
            braces: 0,
            open: None,
        };
        let mut quote = Quote::None;
        let mut signs = text.char_indices().peekable();
        while let Some((at, sign)) = signs.next() {
            let next = signs.peek().map(|(_, next)| *next);
            match (quote, sign) {
                (Quote::None | Quote::Comment, '\n') => {
                    quote = Quote::None;
                    piece.close(at);
                    if piece.ends(text.get(at..)?) {
                        piece.end = at + 1;
                        return Some(piece);
                    }
                }
                (Quote::Comment, _) => {}
                (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
                (Quote::None | Quote::Double, '\\') => {
                    let (_, escaped) = signs.next()?;
                    if escaped != '\n' {
                        piece.push(at, escaped);
                    }
                }
                (Quote::Single | Quote::Double, _) => piece.push(at, sign),
                (Quote::None, '\'') => {
                    piece.begin(at);
                    quote = Quote::Single;
                }
                (Quote::None, '"') => {
                    piece.begin(at);
                    quote = Quote::Double;
                }
                (Quote::None, '#') if piece.open.is_none() => quote = Quote::Comment,
                // A part of a name's value, as in ${a}.
                (Quote::None, '$') if next == Some('{') => {
                    piece.push(at, sign);
                    for (at, sign) in signs.by_ref() {
                        if ['\n', '"', '\'', '\\'].contains(&sign) {
                            return None;
                        }
                        piece.push(at, sign);
                        if sign == '}' {
                            break;
                        }
                    }
                }
                // Other programs, and texts up to a line that a word names.
                (Quote::None, '`') => return None,
                (Quote::None, '<') if next == Some('<') => return None,
                (Quote::None, _) => piece.plain(at, sign, next)?,
            }
        }
        piece.close(text.len());
        let is_whole = [Quote::None, Quote::Comment].contains(&quote);
        (is_whole && piece.parentheses == 0 && piece.braces == 0).then_some(piece)
    }

    /// A sign without quotes.
    fn plain(&mut self, at: usize, sign: char, next: Option<char>) -> Option<()> {
        let is_first = self.open.is_none();
        match sign {
            '(' => {
                self.close(at);
                if let [Part { word, .. }] = self.parts.as_slice() {
                    let is_outside = self.parentheses == 0 && self.braces == 0;
                    self.is_function |= is_outside && next == Some(')') && !word.text.contains('=');
                }
                self.parentheses += 1;
            }
            ')' => {
                self.close(at);
                match self.parentheses.checked_sub(1) {
                    Some(left) => self.parentheses = left,
                    None if self.has_patterns => {}
                    None => return None,
                }
            }
            '{' if is_first && next.is_some_and(char::is_whitespace) => self.braces += 1,
            '}' if is_first => self.braces = self.braces.checked_sub(1)?,
            ';' | '&' | '|' => self.close(at),
            sign if sign.is_whitespace() => self.close(at),
            sign => self.push(at, sign),
        }
        Some(())
    }

    /// Whether the line's end is the command's; `rest` begins with it.
    fn ends(&self, rest: &str) -> bool {
        if self.parentheses > 0 || self.braces > 0 {
            return false;
        }
        // A function's body may begin on the next line.
        let next = rest.strip_prefix('\n').unwrap_or(rest);
        let next = next.trim_start_matches([' ', '\t']);
        !(self.is_function && self.parts.len() == 1 && next.starts_with('{'))
    }

    fn begin(&mut self, at: usize) {
        self.open.get_or_insert(Word {
            text: String::new(),
            place: at..at,
        });
    }

    fn push(&mut self, at: usize, sign: char) {
        self.begin(at);
        if let Some(word) = &mut self.open {
            word.text.push(sign);
        }
    }

    fn close(&mut self, at: usize) {
        if let Some(mut word) = self.open.take() {
            word.place.end = at;
            self.has_patterns |= word.text == "case";
            self.parts.push(Part {
                word,
                is_inside: self.parentheses > 0 || self.braces > 0,
            });
        }
    }

    /// `blocks` counts the `if` and the like that are open; `None` where one ends too often.
    fn into_command<'a>(self, text: &'a str, blocks: &mut u32) -> Option<Command<'a>> {
        let mut is_alone = *blocks == 0;
        for part in self.parts.iter().filter(|part| !part.is_inside) {
            match part.word.text.as_str() {
                "if" | "for" | "while" | "until" | "case" | "select" => *blocks += 1,
                "fi" | "done" | "esac" => *blocks = blocks.checked_sub(1)?,
                _ => {}
            }
        }
        let is_export = |part: &&Part| {
            let word = part.word.text.as_str();
            // With their options.
            ["export", "declare"].contains(&word) || word.starts_with('-')
        };
        let skipped = self.parts.iter().take_while(is_export).count();
        let outside = self.parts.iter().skip(skipped);
        is_alone &= outside.filter(|part| !part.is_inside).count() == 1;
        let mut parts = self.parts.into_iter().skip(skipped);
        let Some(Part { mut word, .. }) = parts.next() else {
            return Some(Command {
                text,
                name: "",
                words: Vec::new(),
                is_alone: false,
            });
        };
        let code = text.get(word.place.clone()).unwrap_or_default();
        let is_sign = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let end = code.find(is_sign).unwrap_or(code.len());
        let (name, value) = code.split_at_checked(end)?;
        let value_at = value.find('=').map(|sign| end + sign + 1);
        let is_set = ["=", "+=", "["].iter().any(|sign| value.starts_with(sign));
        let mut words = Vec::new();
        if let Some(value_at) = value_at.filter(|_| is_set) {
            let cut = word.text.find('=').map_or(0, |sign| sign + 1);
            word.text = word.text.split_off(cut);
            word.place.start += value_at;
            if !word.text.is_empty() {
                words.push(word);
            }
        } else if !self.is_function {
            words.push(word);
        }
        let is_named = !name.is_empty() && (self.is_function || is_set);
        words.extend(parts.map(|part| part.word));
        Some(Command {
            text,
            name: if is_named { name } else { "" },
            words,
            is_alone: is_alone && is_named,
        })
    }
}
