//! The rest of a statement that is too long to be held: what is said of it does not depend on how it arrives, and where
//! it adds nothing, the analysis of the whole text finds no more that is carried out than that of its beginning.

use dazzle::sql::{Effects, Tail, analyze};

use super::take;

pub fn check(mut bytes: &[u8]) {
    let mode = super::sql::mode(take(&mut bytes) & 1 != 0, take(&mut bytes));
    let (at, step) = (usize::from(take(&mut bytes)), usize::from(take(&mut bytes)).max(1));
    let (beginning, text) = (&bytes[..at.min(bytes.len())], bytes);
    let (whole, tail) = Tail::split(beginning, mode, 0);
    assert!(whole <= beginning.len());
    let facts = analyze(&text[..whole], mode);
    let adds_nothing = |step: usize| {
        let mut tail = tail.clone();
        text.chunks(step).for_each(|piece| tail.feed(piece));
        tail.adds_nothing(&facts)
    };
    let nothing = adds_nothing(text.len().max(1));
    assert_eq!(adds_nothing(step), nothing, "pieces of {step}");
    if nothing {
        let all = analyze(text, mode);
        // A number like `2.5e` is an error of syntax at the server: nothing of the text is carried out.
        let unreadable = facts.effects | Effects::UNREADABLE;
        let same = all.effects == facts.effects || all.effects == unreadable;
        assert!(same && facts.kind == all.kind, "{:?} {}", all.effects, String::from_utf8_lossy(text));
    }
}
