//! What is asked of the rows of a group beyond sums: DISTINCT arguments, and GROUP_CONCAT with its order.
//!
//! The slots group by these values too. The rows of a group then come in the order that GROUP_CONCAT wants, or of
//! one of the arguments; what DISTINCT has met of the others is remembered while the group is merged.

use crate::merge::{Fold, Grouping, OrderKey};
use crate::sharding::planner::Refusal;
use crate::sharding::planner::aggregate::Groups;
use crate::sharding::planner::scatter::Column;
use crate::sql::tree::{Call, CallForm, Direction, ExprId, ExprKind, Span};

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Within {
    /// The arguments of DISTINCT, each with its texts.
    lists: Vec<Vec<Vec<u8>>>,
    /// The order that a GROUP_CONCAT wants: texts, and whether they descend.
    order: Option<Vec<(Vec<u8>, bool)>>,
    /// What the merge is told.
    pub(super) grouping: Grouping,
}

impl Groups<'_, '_, '_> {
    /// The number of a DISTINCT aggregate's argument.
    pub(super) fn distinct_argument(&mut self, arguments: &[ExprId]) -> Result<usize, Refusal> {
        self.columns.exact(arguments)?;
        let list = arguments.iter().map(|argument| self.columns.text_of(*argument));
        let list = list.collect::<Result<Vec<_>, _>>()?;
        let lists = &mut self.within.lists;
        Ok(lists.iter().position(|known| *known == list).unwrap_or_else(|| {
            lists.push(list);
            lists.len() - 1
        }))
    }

    /// GROUP_CONCAT: each slot's part of a group, or of as much of one as has one place in the order.
    pub(super) fn concat(
        &mut self,
        call: &Call,
        (id, own): (ExprId, Vec<u8>),
        shown: Option<(usize, Option<Span>)>,
    ) -> Result<OrderKey, Refusal> {
        if self.select.group.is_some() && !self.on_mariadb() {
            // Whether it is a BLOB or a VARCHAR there depends on the plan.
            return Err(Refusal::Shape { what: "GROUP_CONCAT of groups" });
        }
        let set = if call.is_distinct() { Some(self.distinct_argument(&call.arguments)?) } else { None };
        if !call.order.is_empty() {
            self.ordered(call, set)?;
        }
        let separator = self.separator(call, id)?;
        let separators = &mut self.within.grouping.separators;
        separators.push(separator);
        let separator = separators.len() - 1;
        let column = match shown {
            Some((at, _)) => at,
            None => self.columns.hide(own.clone()),
        };
        let length = self.columns.hide([b"LENGTH(", &own[..], b")"].concat());
        let length_max = self.columns.hide(b"@@group_concat_max_len".to_vec());
        self.folds.push(Fold::Concat { column, length, length_max, separator, set });
        let key = OrderKey::ascending(column);
        self.known.push((own, key));
        Ok(key)
    }

    /// ORDER BY of a GROUP_CONCAT: all that have one have the same.
    fn ordered(&mut self, call: &Call, set: Option<usize>) -> Result<(), Refusal> {
        let tree = self.columns.statement.tree;
        let mut order = Vec::with_capacity(call.order.len());
        for key in &call.order {
            if matches!(tree.expr(key.expr).kind, ExprKind::Constant(_)) {
                return Err(Refusal::Shape { what: "GROUP_CONCAT sorted by a number" });
            }
            self.columns.exact(&[key.expr])?;
            order.push((self.columns.text_of(key.expr)?, key.direction == Direction::Descending));
        }
        let of_argument = |set: usize| {
            let list = &self.within.lists[set];
            list.len() == order.len() && list.iter().zip(&order).all(|(one, (other, _))| one == other)
        };
        if set.is_some_and(|set| !of_argument(set)) {
            return Err(Refusal::Shape { what: "GROUP_CONCAT(DISTINCT) sorted by something else" });
        }
        match &self.within.order {
            Some(known) if *known != order => {
                Err(Refusal::Shape { what: "several GROUP_CONCAT of different orders" })
            }
            _ => {
                self.within.order = Some(order);
                Ok(())
            }
        }
    }

    /// What stands between the values: a text of plain characters.
    fn separator(&self, call: &Call, id: ExprId) -> Result<Vec<u8>, Refusal> {
        if matches!(call.form, CallForm::Plain | CallForm::Distinct | CallForm::Star) {
            return Ok(b",".to_vec());
        }
        let statement = self.columns.statement;
        let last = call.order.last().map(|key| key.expr).or_else(|| call.arguments.last().copied());
        let start = last.map_or(0, |last| statement.tree.expr(last).span.end);
        let tail = Span::new(start, statement.tree.expr(id).span.end).of(statement.text());
        let unsure = Refusal::Shape { what: "GROUP_CONCAT with such a SEPARATOR" };
        let Some(open) = tail.iter().position(|byte| *byte == b'\'') else {
            let word = tail.windows(9).any(|word| word.eq_ignore_ascii_case(b"SEPARATOR"));
            return if word { Err(unsure) } else { Ok(b",".to_vec()) };
        };
        let (before, text) = (tail[..open].trim_ascii(), &tail[open + 1..]);
        let text = text.trim_ascii_end().strip_suffix(b")").map(<[u8]>::trim_ascii_end);
        let text = text.and_then(|text| text.strip_suffix(b"'"));
        let mut words = before.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\');
        match (text, words.next_back()) {
            (Some(text), Some(word)) if word.eq_ignore_ascii_case(b"SEPARATOR") && text.iter().all(plain) => {
                Ok(text.to_vec())
            }
            _ => Err(unsure),
        }
    }

    /// What the slots group by besides the keys, and sort by after them.
    pub(super) fn within_groups(&mut self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (lists, order) = (std::mem::take(&mut self.within.lists), self.within.order.take());
        let order = order.or_else(|| Some(lists.first()?.iter().map(|text| (text.clone(), false)).collect()));
        let order = order.unwrap_or_default();
        let texts: Vec<Vec<u8>> = order.iter().map(|(text, _)| text.clone()).collect();
        let mut all: Vec<Vec<u8>> = texts.clone();
        for text in lists.iter().flatten() {
            if !all.contains(text) {
                all.push(text.clone());
            }
        }
        let mut clause = Vec::with_capacity(order.len());
        for (text, descending) in order {
            let key = self.hidden_key(&text);
            self.columns.plan.input.push(OrderKey { descending, ..key });
            clause.push(if descending { [&text[..], b" DESC"].concat() } else { text });
        }
        self.within.grouping.ordered = lists.iter().position(|list| *list == texts);
        for list in &lists {
            let keys = list.iter().map(|text| self.hidden_key(text)).collect();
            self.within.grouping.sets.push(keys);
        }
        (all, clause)
    }

    fn hidden_key(&mut self, text: &[u8]) -> OrderKey {
        let number = self.columns.hide(text.to_vec());
        self.columns.key(&Column { number, text: text.to_vec() })
    }
}
