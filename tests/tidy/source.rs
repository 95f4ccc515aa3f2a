//! A source file with its comments, texts and test modules blanked out, line by line.

use std::fs;
use std::path::Path;

/// One `.rs` file.
pub(crate) struct Source {
    /// From the root of the repository: `src/wire/packet.rs`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Without comments and without what stands in texts and characters.
    pub(crate) code: String,
    /// The same without what is compiled for tests only.
    pub(crate) shipped: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = code(text);
        let test = path.ends_with("/tests.rs") || path.contains("/tests/");
        let shipped = if test { String::new() } else { without_tests(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, shipped }
    }
}

/// Lines of `code` that contain `word`, numbered from 1.
pub(crate) fn lines_with<'c>(code: &'c str, word: &str) -> impl Iterator<Item = (usize, &'c str)> {
    code.lines().enumerate().filter(move |(_, line)| line.contains(word)).map(|(i, line)| (i + 1, line))
}

/// Every `.rs` file under `folders`, which stand at the root of the repository.
pub(crate) fn tree(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in folders {
        collect(root, &root.join(folder), &mut files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder of the repository can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !["node_modules", "target"].contains(&name) {
            collect(root, &path, files);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).expect("a source file is UTF-8 text");
            let path = path.strip_prefix(root).expect("the walk starts at the root");
            files.push(Source::new(&path.to_string_lossy(), &text));
        }
    }
}

/// `text` with comments, texts and characters replaced by blanks; lines stay lines.
fn code(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let blank = comment(rest).or_else(|| raw_text(rest, &kept)).or_else(|| quoted(rest));
        let taken = match blank {
            Some(length) => {
                kept.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
                length
            }
            None => {
                kept.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    kept
}

/// Bytes of the comment that `rest` starts with.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(at)
}

/// Bytes of the raw text, `r#"…"#`, that `rest` starts with.
fn raw_text(rest: &str, before: &str) -> Option<usize> {
    let after_r = rest.strip_prefix('r')?;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    if before.ends_with(|c| word(c) && c != 'b') {
        return None;
    }
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    let inside = after_r[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + inside.find(&end).map_or(inside.len(), |at| at + end.len()))
}

/// Bytes of the text or character that `rest` starts with; a lifetime is neither.
fn quoted(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    if quote == '\'' && !rest.starts_with("'\\") && rest.chars().nth(2) != Some('\'') {
        return None;
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// `code` with every item behind `#[cfg(test)]` blanked out.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(start);
        let length = item_length(item);
        kept.push_str(before);
        kept.extend(item[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &item[length..];
    }
    kept + rest
}

/// Bytes up to the item's closing brace, or its semicolon.
fn item_length(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    item.len()
}

#[test]
fn comments_texts_and_tests_are_blanked_and_lines_stay() {
    let check = |text: &str, expected: &str| {
        let source = Source::new("src/x.rs", text);
        assert_eq!(source.shipped.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
        assert_eq!(source.shipped.lines().count(), text.lines().count(), "{text}");
    };
    check("a // b\nc", "a c");
    check("a /* b /* c */ \n d */ e", "a e");
    check(r#"a("b \" // c", 'd', '"', '\'') e"#, "a( , , , ) e");
    check("a(r#\"b \" c\"#) d", "a( ) d");
    check("fn a<'a>(b: &'a str) { 'x' }", "fn a<'a>(b: &'a str) { }");
    check("a\n#[cfg(test)]\nmod tests {\n fn b() { c() }\n}\nd", "a d");
    check("#[cfg(test)]\nmod tests;\nd", "d");
    assert_eq!(Source::new("src/wire/tests.rs", "a").shipped, "");
}

#[test]
fn the_walk_finds_the_tree() {
    let found: Vec<String> = tree(&["src", "tests"]).into_iter().map(|file| file.path).collect();
    for expected in ["src/lib.rs", "src/config/mod.rs", "tests/tidy/main.rs"] {
        assert!(found.iter().any(|path| path == expected), "{expected} is not among {found:?}");
    }
}
