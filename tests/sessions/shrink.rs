//! From a long script that shows a difference to a short one.

use std::time::Duration;

use tokio::time::Instant;

use crate::pair::{Ground, Pair, Verdict};
use crate::step::{Action, Step};

/// How often a script is played at most to make it shorter.
const TRIES_MAX: usize = 25;

/// How long that may take.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Plays `script` from the beginning, before a proxy of its own; the first difference, and at which step.
pub(crate) async fn replay(ground: &Ground, script: &[Step]) -> Option<(usize, String)> {
    ground.reset().await.unwrap();
    let proxy = ground.proxy().await;
    let mut pair = Pair::new(ground, &proxy);
    for (at, step) in script.iter().enumerate() {
        match pair.play(step).await.0 {
            Verdict::Different(text) => return Some((at, text)),
            Verdict::Astray => return None,
            _ => {}
        }
    }
    None
}

/// The shortest script found that still shows a difference, and the difference; `None` if `script` itself shows
/// none before a new proxy.
pub(crate) async fn shrink(ground: &Ground, script: &[Step]) -> Option<(Vec<Step>, String)> {
    let (mut script, mut difference) = recent(ground, script).await?;
    let (mut size, mut tries, begun) = (script.len() / 2, 0, Instant::now());
    let goes_on = |tries: usize| tries < TRIES_MAX && begun.elapsed() < TIME_MAX;
    while size > 0 && goes_on(tries) {
        let mut start = 0;
        while start < script.len() && goes_on(tries) {
            let mut shorter = script.clone();
            shorter.drain(start..(start + size).min(script.len()));
            tries += 1;
            match replay(ground, &shorter).await {
                Some((at, text)) => {
                    shorter.truncate(at + 1);
                    (script, difference) = (shorter, text);
                }
                None => start += size,
            }
        }
        size /= 2;
    }
    Some((script, difference))
}

/// The last steps alone, if they do it, with the logins that came before them.
async fn recent(ground: &Ground, script: &[Step]) -> Option<(Vec<Step>, String)> {
    let mut count = 2;
    loop {
        let start = script.len().saturating_sub(count);
        let mut tail: Vec<Step> = (0..2)
            .filter_map(|client| {
                let of_client = |step: &&Step| step.client == client;
                let connects = |step: &&Step| matches!(step.action, Action::Connect(_));
                script[..start].iter().filter(of_client).rfind(connects).cloned()
            })
            .collect();
        tail.extend_from_slice(&script[start..]);
        if let Some((at, text)) = replay(ground, &tail).await {
            tail.truncate(at + 1);
            return Some((tail, text));
        }
        if start == 0 {
            return None;
        }
        count *= 3;
    }
}
