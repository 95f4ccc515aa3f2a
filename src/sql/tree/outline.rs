//! A tree as text again, with every precedence spelt out by parentheses: for tests and for people.

use crate::sql::tree::Tree;
use crate::sql::tree::expression::{BinaryOp, Call, CompareOp, ExprId, ExprKind, Polarity, Prefix, Truth};
use crate::sql::tree::query::{
    Body, Condition, ItemKind, JoinKind, QueryId, SetOp, SortKey, TableId, TableKind,
};
use crate::sql::tree::span::Span;
use crate::sql::tree::{Root, Source};

impl Tree {
    /// The statement as it was understood. Its expressions are SQL that means the same whatever binds tighter.
    #[must_use]
    pub fn outline(&self, text: &[u8]) -> String {
        let mut outline = Outline { tree: self, text, out: String::new() };
        match &self.root {
            Root::Query(query) => outline.query(*query),
            Root::Insert(insert) => outline.insert(insert),
            Root::Update(update) => {
                outline.put("UPDATE ");
                outline.table(update.tables);
                outline.put(" SET ");
                outline.assignments(&update.assignments);
                outline.filter(update.filter);
                outline.order(update.order.as_ref().map(|order| &*order.keys));
            }
            Root::Delete(delete) => {
                outline.put("DELETE ");
                for target in delete.targets.iter().flatten() {
                    outline.span(target.span());
                    outline.put(" ");
                }
                outline.put("FROM ");
                outline.table(delete.tables);
                outline.filter(delete.filter);
                outline.order(delete.order.as_ref().map(|order| &*order.keys));
            }
        }
        outline.out
    }
}

struct Outline<'t> {
    tree: &'t Tree,
    text: &'t [u8],
    out: String,
}

impl Outline<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn span(&mut self, span: Span) {
        let text = String::from_utf8_lossy(span.of(self.text)).into_owned();
        self.out.push_str(&text);
    }

    fn list<T: Copy>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, T)) {
        for (at, &item) in items.iter().enumerate() {
            if at > 0 {
                self.put(", ");
            }
            each(self, item);
        }
    }

    fn exprs(&mut self, list: &[ExprId]) {
        self.list(list, Self::expr);
    }

    fn joined(&mut self, list: &[ExprId], operator: &str) {
        self.put("(");
        for (at, &item) in list.iter().enumerate() {
            if at > 0 {
                self.put(operator);
            }
            self.expr(item);
        }
        self.put(")");
    }

    fn expr(&mut self, id: ExprId) {
        let tree = self.tree;
        let expr = tree.expr(id);
        match &expr.kind {
            ExprKind::And(list) => self.joined(list, " AND "),
            ExprKind::Or(list) => self.joined(list, " OR "),
            ExprKind::Xor(left, right) => self.joined(&[*left, *right], " XOR "),
            ExprKind::Compare(op, left, right) => self.joined(&[*left, *right], compare(*op)),
            ExprKind::Binary(op, left, right) => self.joined(&[*left, *right], binary(*op)),
            ExprKind::Not(operand) => self.wrapped("(NOT ", *operand, ")"),
            ExprKind::Prefix(prefix, operand) => self.wrapped(sign(*prefix), *operand, ")"),
            ExprKind::Assign(value) => {
                self.put("(");
                self.span(Span::new(expr.span.start, tree.expr(*value).span.start));
                self.wrapped("", *value, ")");
            }
            ExprKind::Quantified { .. }
            | ExprKind::Is(..)
            | ExprKind::In(..)
            | ExprKind::InQuery(..)
            | ExprKind::Between(..) => self.predicate(&expr.kind),
            ExprKind::Match(list, polarity) => self.matched(list, *polarity),
            ExprKind::Row(list) => {
                self.put("ROW(");
                self.exprs(list);
                self.put(")");
            }
            ExprKind::Subquery(query) => self.group(*query),
            ExprKind::Exists(query) => {
                self.put("EXISTS ");
                self.group(*query);
            }
            ExprKind::Call(call) => self.call(call),
            ExprKind::Case(list) => {
                self.put("CASE[");
                self.exprs(list);
                self.put("]");
            }
            ExprKind::Cast(operand, to) => {
                self.wrapped("CAST(", *operand, " AS ");
                self.span(*to);
                self.put(")");
            }
            ExprKind::Collate(operand, name) => {
                self.wrapped("(", *operand, " COLLATE ");
                self.span(*name);
                self.put(")");
            }
            ExprKind::Interval(value, unit) => {
                self.wrapped("INTERVAL ", *value, " ");
                self.span(*unit);
            }
            ExprKind::FullText(list) => {
                self.put("MATCH[");
                self.exprs(list);
                self.put("]");
            }
            ExprKind::Column(name) => {
                self.span(name.schema.or(name.table).unwrap_or(name.column).to(name.column));
            }
            ExprKind::Constant(_)
            | ExprKind::Parameter(_)
            | ExprKind::UserVariable
            | ExprKind::SystemVariable
            | ExprKind::Default
            | ExprKind::DefaultOf(_)
            | ExprKind::ValuesOf(_) => self.leaf(expr.span),
        }
    }

    fn predicate(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::Quantified { op, all, left, query } => {
                self.wrapped("(", *left, compare(*op));
                self.put(if *all { "ALL " } else { "ANY " });
                self.group(*query);
                self.put(")");
            }
            ExprKind::Is(operand, truth, polarity) => {
                self.wrapped("(", *operand, " IS");
                self.put(not(*polarity));
                self.put(truth_word(*truth));
            }
            ExprKind::In(operand, list, polarity) => {
                self.wrapped("(", *operand, not(*polarity));
                self.put(" IN (");
                self.exprs(list);
                self.put("))");
            }
            ExprKind::InQuery(operand, query, polarity) => {
                self.wrapped("(", *operand, not(*polarity));
                self.put(" IN ");
                self.group(*query);
                self.put(")");
            }
            ExprKind::Between([operand, low, high], polarity) => {
                self.wrapped("(", *operand, not(*polarity));
                self.wrapped(" BETWEEN ", *low, " AND ");
                self.wrapped("", *high, ")");
            }
            _ => {}
        }
    }

    /// Without parentheses around it.
    fn leaf(&mut self, span: Span) {
        let text = String::from_utf8_lossy(span.of(self.text)).into_owned();
        let mut inner = text.trim();
        while let Some(less) = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            inner = less.trim();
        }
        self.put(inner);
    }

    fn wrapped(&mut self, before: &str, id: ExprId, after: &str) {
        self.put(before);
        self.expr(id);
        self.put(after);
    }

    fn matched(&mut self, list: &[ExprId], polarity: Polarity) {
        let tree = self.tree;
        let [left, right, rest @ ..] = list else { return };
        self.wrapped("(", *left, not(polarity));
        // The word between them, as it is written.
        let between = Span::new(tree.expr(*left).span.end, tree.expr(*right).span.start);
        let word = String::from_utf8_lossy(between.of(self.text)).to_ascii_uppercase();
        let word = ["SOUNDS", "REGEXP", "RLIKE", "MEMBER"].iter().find(|known| word.contains(**known));
        self.put(match word {
            Some(&"SOUNDS") => " SOUNDS LIKE ",
            Some(&"MEMBER") => " MEMBER OF ",
            Some(_) => " REGEXP ",
            None => " LIKE ",
        });
        self.expr(*right);
        if let [escape] = rest {
            self.wrapped(" ESCAPE ", *escape, "");
        }
        self.put(")");
    }

    fn call(&mut self, call: &Call) {
        self.span(call.name_span);
        self.put(if call.is_distinct() { "(DISTINCT " } else { "(" });
        if call.form == crate::sql::tree::CallForm::Star {
            self.put("*");
        }
        self.exprs(&call.arguments);
        self.order(Some(&*call.order).filter(|keys| !keys.is_empty()));
        self.put(")");
        if let Some(window) = &call.over {
            self.put(" OVER[");
            self.exprs(&window.partition);
            self.order(Some(&*window.order));
            self.put("]");
        }
    }

    fn order(&mut self, keys: Option<&[SortKey]>) {
        let Some(keys) = keys else { return };
        self.put(" ORDER BY ");
        self.list(keys, |this, key| {
            this.expr(key.expr);
            if key.direction == crate::sql::tree::Direction::Descending {
                this.put(" DESC");
            }
        });
    }

    fn group(&mut self, query: QueryId) {
        self.put("(");
        self.query(query);
        self.put(")");
    }

    fn query(&mut self, id: QueryId) {
        let tree = self.tree;
        let query = tree.query(id);
        if let Some(with) = &query.with {
            self.put("WITH ");
            for table in &with.tables {
                self.span(table.name);
                self.put(" AS ");
                self.group(table.query);
                self.put(" ");
            }
        }
        match &query.body {
            Body::Select(select) => self.select(select),
            Body::Set(arms) => {
                for (at, arm) in arms.iter().enumerate() {
                    if at > 0 {
                        self.put(match arm.op {
                            SetOp::Union => " UNION ",
                            SetOp::Intersect => " INTERSECT ",
                            SetOp::Except => " EXCEPT ",
                        });
                        self.put(if arm.distinct { "" } else { "ALL " });
                    }
                    self.group(arm.query);
                }
            }
            Body::Values(rows) => {
                self.put("VALUES ");
                for row in rows {
                    self.put("ROW(");
                    self.exprs(row);
                    self.put(")");
                }
            }
            Body::Table(table) => {
                self.put("TABLE ");
                self.table(*table);
            }
            Body::Nested(query) => self.group(*query),
        }
        self.order(query.order.as_ref().map(|order| &*order.keys));
        for span in [query.limit.map(|limit| limit.span), query.into, query.locks].into_iter().flatten() {
            self.put(" ");
            self.span(span);
        }
    }

    fn select(&mut self, select: &crate::sql::tree::Select) {
        self.put(if select.distinct.is_some() { "SELECT DISTINCT " } else { "SELECT " });
        for (at, item) in select.items.iter().enumerate() {
            if at > 0 {
                self.put(", ");
            }
            match &item.kind {
                ItemKind::Star | ItemKind::TableStar(_) => self.span(item.span),
                ItemKind::Expr(expr, alias) => {
                    self.expr(*expr);
                    if let Some(alias) = alias {
                        self.put(" AS ");
                        self.span(*alias);
                    }
                }
            }
        }
        if let Some(from) = select.from {
            self.put(" FROM ");
            self.table(from);
        }
        self.filter(select.filter);
        if let Some(group) = &select.group {
            self.put(" GROUP BY ");
            self.list(&group.keys, |this, key| this.expr(key.expr));
            self.put(if group.rollup { " WITH ROLLUP" } else { "" });
        }
        if let Some((_, having)) = select.having {
            self.wrapped(" HAVING ", having, "");
        }
    }

    fn filter(&mut self, filter: Option<ExprId>) {
        if let Some(filter) = filter {
            self.wrapped(" WHERE ", filter, "");
        }
    }

    fn table(&mut self, id: TableId) {
        let tree = self.tree;
        match &tree.table(id).kind {
            TableKind::Table { name, alias, .. } => {
                self.span(name.span());
                self.alias(*alias);
            }
            TableKind::Derived { query, alias, lateral, .. } => {
                self.put(if *lateral { "LATERAL " } else { "" });
                self.group(*query);
                self.alias(*alias);
            }
            TableKind::Json { document, alias } => {
                self.wrapped("JSON_TABLE[", *document, "]");
                self.alias(Some(*alias));
            }
            TableKind::Join(join) => {
                self.put("(");
                self.table(join.left);
                self.put(match join.kind {
                    JoinKind::Inner => " JOIN ",
                    JoinKind::Left => " LEFT JOIN ",
                    JoinKind::Right => " RIGHT JOIN ",
                });
                self.table(join.right);
                match &join.condition {
                    Condition::None => {}
                    Condition::On(condition) => self.wrapped(" ON ", *condition, ""),
                    Condition::Using(columns) => {
                        self.put(" USING (");
                        self.list(columns, Self::span);
                        self.put(")");
                    }
                    Condition::Natural => self.put(" NATURAL"),
                }
                self.put(")");
            }
        }
    }

    fn alias(&mut self, alias: Option<Span>) {
        if let Some(alias) = alias {
            self.put(" AS ");
            self.span(alias);
        }
    }

    fn assignments(&mut self, list: &[crate::sql::tree::Assignment]) {
        self.list(list, |this, assignment| {
            this.span(assignment.column.column);
            this.wrapped(" = ", assignment.value, "");
        });
    }

    fn insert(&mut self, insert: &crate::sql::tree::Insert) {
        self.put(if insert.replace { "REPLACE " } else { "INSERT " });
        self.span(insert.table.span());
        if let Some(columns) = &insert.columns {
            self.put(" (");
            self.list(columns, |this, name| this.span(name.column));
            self.put(")");
        }
        match &insert.source {
            Source::Values(rows) => {
                self.put(" VALUES ");
                for row in rows {
                    self.put("(");
                    self.exprs(&row.values);
                    self.put(")");
                }
            }
            Source::Set(list) => {
                self.put(" SET ");
                self.assignments(list);
            }
            Source::Query(query) => {
                self.put(" ");
                self.group(*query);
            }
        }
        if !insert.on_duplicate.is_empty() {
            self.put(" ON DUPLICATE KEY UPDATE ");
            self.assignments(&insert.on_duplicate);
        }
    }
}

fn not(polarity: Polarity) -> &'static str {
    match polarity {
        Polarity::Plain => "",
        Polarity::Negated => " NOT",
    }
}

fn sign(prefix: Prefix) -> &'static str {
    match prefix {
        Prefix::Minus => "(- ",
        Prefix::Plus => "(+ ",
        Prefix::Invert => "(~ ",
        Prefix::Binary => "(BINARY ",
    }
}

fn truth_word(truth: Truth) -> &'static str {
    match truth {
        Truth::Null => " NULL)",
        Truth::True => " TRUE)",
        Truth::False => " FALSE)",
        Truth::Unknown => " UNKNOWN)",
    }
}

fn compare(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Equal => " = ",
        CompareOp::NullSafeEqual => " <=> ",
        CompareOp::NotEqual => " <> ",
        CompareOp::Less => " < ",
        CompareOp::LessOrEqual => " <= ",
        CompareOp::Greater => " > ",
        CompareOp::GreaterOrEqual => " >= ",
    }
}

fn binary(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::BitOr => " | ",
        BinaryOp::BitAnd => " & ",
        BinaryOp::ShiftLeft => " << ",
        BinaryOp::ShiftRight => " >> ",
        BinaryOp::Add => " + ",
        BinaryOp::Subtract => " - ",
        BinaryOp::Multiply => " * ",
        BinaryOp::Divide => " / ",
        BinaryOp::IntegerDivide => " DIV ",
        BinaryOp::Modulo => " % ",
        BinaryOp::BitXor => " ^ ",
        BinaryOp::Concat => " || ",
        BinaryOp::JsonPath => " -> ",
    }
}
