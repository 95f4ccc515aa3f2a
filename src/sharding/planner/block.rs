//! A statement as blocks, one for each SELECT, UPDATE or DELETE in it, and the tables that each reads.

use crate::sharding::placement::PlacementId;
use crate::sharding::planner::features::Features;
use crate::sharding::planner::hint::Hints;
use crate::sharding::planner::names::same_name;
use crate::sharding::planner::recipe::Trace;
use crate::sharding::planner::splice::Edits;
use crate::sharding::planner::{Refusal, Request, Sql};
use crate::sharding::rules::{ShardingRules, TableId, TableKind, Unlisted};
use crate::sharding::slots::SlotId;
use crate::sql::tree::{
    self as sql, Body, Child, ColumnName, Condition, ExprId, ExprKind, ItemKind, QueryId, Root, Source, Span,
    Tree,
};

/// Tables of one statement: the servers join 61, and proofs take the cube of their number.
const INSTANCES_MAX: usize = 64;

/// All that is known of a statement.
pub(super) struct Statement<'a> {
    pub(super) rules: &'a ShardingRules,
    pub(super) trace: &'a Trace,
    pub(super) request: &'a Request<'a>,
    pub(super) tree: &'a Tree,
    pub(super) hints: Hints,
    pub(super) blocks: Vec<Block>,
    pub(super) instances: Vec<Instance>,
    pub(super) features: Features,
    /// The logical database and the dot after it, wherever they are written.
    pub(super) qualifiers: Vec<Span>,
    /// Names of common table expressions that can be seen.
    with: Vec<Span>,
}

/// One SELECT, UPDATE or DELETE.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The block around a subquery of an expression, whose columns it sees.
    pub(super) parent: Option<usize>,
    pub(super) query: Option<QueryId>,
    pub(super) from: Option<sql::TableId>,
    pub(super) filter: Option<ExprId>,
    /// Places in [`Statement::instances`].
    pub(super) instances: Vec<usize>,
    pub(super) role: Role,
}

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The statement itself, or an arm of it.
    Top,
    /// A subquery of an expression.
    Inside,
    /// A derived table, or a common table expression.
    Apart,
}

/// One table in one place of a statement.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) kind: InstanceKind,
    /// What columns are qualified by.
    pub(super) name: Span,
    pub(super) block: usize,
    pub(super) node: sql::TableId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InstanceKind {
    Placed(TableId, PlacementId),
    Reference(SlotId),
    Single(SlotId),
    /// A derived table, a common table expression, JSON_TABLE.
    Apart,
}

impl<'a> Statement<'a> {
    pub(super) fn new(
        (rules, trace): (&'a ShardingRules, &'a Trace),
        request: &'a Request<'a>,
        tree: &'a Tree,
        hints: Hints,
    ) -> Result<Self, Refusal> {
        let mut this = Self {
            rules,
            trace,
            request,
            tree,
            hints,
            blocks: Vec::new(),
            instances: Vec::new(),
            features: Features::default(),
            qualifiers: Vec::new(),
            with: Vec::new(),
        };
        match &tree.root {
            Root::Query(query) => this.query(*query, None, Role::Top)?,
            Root::Insert(insert) => this.insert(insert)?,
            Root::Update(update) => {
                this.with(update.with.as_ref())?;
                let block = this.written(update.tables, update.filter)?;
                for assignment in &update.assignments {
                    this.column(assignment.column);
                    this.expr(assignment.value, block)?;
                }
                this.sorted(update.order.as_ref(), block)?;
            }
            Root::Delete(delete) => {
                this.with(delete.with.as_ref())?;
                for target in delete.targets.iter().flatten() {
                    this.qualifier(target.schema, target.table);
                }
                let block = this.written(delete.tables, delete.filter)?;
                this.sorted(delete.order.as_ref(), block)?;
            }
        }
        Ok(this)
    }

    pub(super) fn text(&self) -> &'a [u8] {
        self.request.text
    }

    /// What takes the logical database's name from the text.
    pub(super) fn names(&self) -> Edits {
        let mut edits = Edits::default();
        for qualifier in &self.qualifiers {
            edits.cut(*qualifier);
        }
        for id in &self.features.database {
            let name = self.rules.name().replace('\'', "''");
            edits.replace(self.tree.expr(*id).span, format!("'{name}'"));
        }
        edits
    }

    /// The same, with the titles of columns as they were.
    pub(super) fn edits(&self) -> Result<Edits, Refusal> {
        let mut edits = self.names();
        self.keep_titles(&mut edits)?;
        if !edits.is_empty() && self.tree.executable_comment {
            return Err(Refusal::Unparsed {
                why: "an executable comment beside a name of the logical database",
            });
        }
        Ok(edits)
    }

    /// What a slot is sent if nothing but names has to be changed.
    pub(super) fn client_sql(&self) -> Result<Sql, Refusal> {
        let edits = self.edits()?;
        Ok(if edits.is_empty() { Sql::Client } else { Sql::Changed(edits.apply(self.text())) })
    }

    /// A column without an alias is called as it is written; where that changes, it gets its name back.
    fn keep_titles(&self, edits: &mut Edits) -> Result<(), Refusal> {
        let Root::Query(query) = self.tree.root else { return Ok(()) };
        let Some(select) = self.first_select(query) else { return Ok(()) };
        let before = edits.clone();
        for item in &select.items {
            let ItemKind::Expr(expr, None) = item.kind else { continue };
            let column = matches!(self.tree.expr(expr).kind, ExprKind::Column(_));
            if !column && before.touch(item.span) {
                edits.replace(item.span.after(), self.title(item.span)?);
            }
        }
        Ok(())
    }

    /// ` AS` and what the server would call the column.
    pub(super) fn title(&self, item: Span) -> Result<Vec<u8>, Refusal> {
        let text = item.of(self.text());
        // Beyond this, servers cut and clean what they call a column.
        if text.len() > 64 || text.iter().any(|byte| byte.is_ascii_control() || !byte.is_ascii()) {
            return Err(Refusal::Shape { what: "a long column without an alias" });
        }
        let text = String::from_utf8_lossy(text).replace('`', "``");
        Ok(format!(" AS `{text}`").into_bytes())
    }

    /// The SELECT that names the columns of a query.
    fn first_select(&self, mut query: QueryId) -> Option<&'a sql::Select> {
        loop {
            match &self.tree.query(query).body {
                Body::Select(select) => return Some(select),
                Body::Set(arms) => query = arms.first()?.query,
                Body::Nested(inner) => query = *inner,
                Body::Values(_) | Body::Table(_) => return None,
            }
        }
    }

    fn insert(&mut self, insert: &sql::Insert) -> Result<(), Refusal> {
        self.qualifier(insert.table.schema, insert.table.table);
        for column in insert.columns.iter().flatten() {
            self.column(*column);
        }
        // Its values see no table, but for those of subqueries.
        let block = self.push_block(None, None, Role::Apart);
        match &insert.source {
            Source::Values(rows) => {
                for value in rows.iter().flat_map(|row| &*row.values) {
                    self.expr(*value, block)?;
                }
            }
            Source::Set(list) => self.assigned(list, block)?,
            Source::Query(query) => self.query(*query, None, Role::Apart)?,
        }
        self.assigned(&insert.on_duplicate, block)
    }

    fn assigned(&mut self, list: &[sql::Assignment], block: usize) -> Result<(), Refusal> {
        for assignment in list {
            self.column(assignment.column);
            self.expr(assignment.value, block)?;
        }
        Ok(())
    }

    fn written(&mut self, tables: sql::TableId, filter: Option<ExprId>) -> Result<usize, Refusal> {
        let block = self.push_block(None, None, Role::Top);
        self.blocks[block].from = Some(tables);
        self.blocks[block].filter = filter;
        self.table(tables, block)?;
        if let Some(filter) = filter {
            self.expr(filter, block)?;
        }
        Ok(block)
    }

    fn push_block(&mut self, parent: Option<usize>, query: Option<QueryId>, role: Role) -> usize {
        self.blocks.push(Block { parent, query, from: None, filter: None, instances: Vec::new(), role });
        self.blocks.len() - 1
    }

    fn with(&mut self, with: Option<&sql::With>) -> Result<(), Refusal> {
        let Some(with) = with else { return Ok(()) };
        if with.recursive {
            self.with.extend(with.tables.iter().map(|table| table.name));
        }
        for table in &with.tables {
            self.query(table.query, None, Role::Apart)?;
            self.with.push(table.name);
        }
        Ok(())
    }

    fn query(&mut self, id: QueryId, parent: Option<usize>, role: Role) -> Result<(), Refusal> {
        let tree = self.tree;
        let query = tree.query(id);
        let seen = self.with.len();
        self.with(query.with.as_ref())?;
        let first = self.blocks.len();
        match &query.body {
            Body::Select(select) => self.select(id, select, parent, role)?,
            Body::Set(arms) => {
                for arm in arms {
                    self.query(arm.query, parent, role)?;
                }
            }
            Body::Nested(inner) => self.query(*inner, parent, role)?,
            Body::Values(rows) => {
                let block = self.push_block(parent, Some(id), role);
                for value in rows.iter().flat_map(|row| &**row) {
                    self.expr(*value, block)?;
                }
            }
            Body::Table(table) => {
                let block = self.push_block(parent, Some(id), role);
                self.blocks[block].from = Some(*table);
                self.table(*table, block)?;
            }
        }
        if let Some(order) = &query.order {
            self.sorted(Some(order), first)?;
        }
        self.with.truncate(seen);
        Ok(())
    }

    fn sorted(&mut self, order: Option<&sql::Order>, block: usize) -> Result<(), Refusal> {
        for key in order.iter().flat_map(|order| &*order.keys) {
            self.expr(key.expr, block)?;
        }
        Ok(())
    }

    fn select(
        &mut self,
        id: QueryId,
        select: &sql::Select,
        parent: Option<usize>,
        role: Role,
    ) -> Result<(), Refusal> {
        let block = self.push_block(parent, Some(id), role);
        (self.blocks[block].from, self.blocks[block].filter) = (select.from, select.filter);
        if let Some(from) = select.from {
            self.table(from, block)?;
        }
        for item in &select.items {
            match &item.kind {
                ItemKind::Star => {}
                ItemKind::TableStar(name) => self.qualifier(name.schema, name.table),
                ItemKind::Expr(expr, _) => self.expr(*expr, block)?,
            }
        }
        let having = select.having.map(|(_, having)| having);
        for expr in select.filter.into_iter().chain(having) {
            self.expr(expr, block)?;
        }
        let windows = select.windows.iter().flat_map(|window| window.partition.iter().copied());
        let windows: Vec<_> = windows
            .chain(select.windows.iter().flat_map(|window| window.order.iter().map(|key| key.expr)))
            .collect();
        let group = select.group.iter().flat_map(|group| group.keys.iter().map(|key| key.expr));
        for expr in windows.into_iter().chain(group) {
            self.expr(expr, block)?;
        }
        Ok(())
    }

    fn expr(&mut self, id: ExprId, block: usize) -> Result<(), Refusal> {
        let tree = self.tree;
        let expr = tree.expr(id);
        self.features.note(id, expr);
        if let ExprKind::Column(name) | ExprKind::ValuesOf(name) | ExprKind::DefaultOf(name) = expr.kind {
            self.column(name);
        }
        let mut children = Vec::new();
        expr.each_child(&mut |child| children.push(child));
        for child in children {
            match child {
                Child::Expr(inner) => self.expr(inner, block)?,
                Child::Query(query) => self.query(query, Some(block), Role::Inside)?,
            }
        }
        Ok(())
    }

    fn table(&mut self, id: sql::TableId, block: usize) -> Result<(), Refusal> {
        let tree = self.tree;
        let (kind, name) = match &tree.table(id).kind {
            sql::TableKind::Table { name, alias, .. } => (self.kind_of(*name)?, alias.unwrap_or(name.table)),
            sql::TableKind::Derived { query, alias, lateral, .. } => {
                let parent = lateral.then_some(block);
                self.query(*query, parent, Role::Apart)?;
                (InstanceKind::Apart, alias.unwrap_or_default())
            }
            sql::TableKind::Json { document, alias } => {
                self.expr(*document, block)?;
                (InstanceKind::Apart, *alias)
            }
            sql::TableKind::Join(join) => {
                self.table(join.left, block)?;
                self.table(join.right, block)?;
                if let Condition::On(condition) = join.condition {
                    self.expr(condition, block)?;
                }
                return Ok(());
            }
        };
        if self.instances.len() == INSTANCES_MAX {
            return Err(Refusal::Unparsed { why: "a statement of so many tables" });
        }
        self.blocks[block].instances.push(self.instances.len());
        self.instances.push(Instance { kind, name, block, node: id });
        Ok(())
    }

    fn kind_of(&mut self, name: sql::TableName) -> Result<InstanceKind, Refusal> {
        let text = self.text();
        let table = name.table.name(text);
        if name.schema.is_none() && self.with.iter().any(|with| same_name(&with.name(text), &table)) {
            return Ok(InstanceKind::Apart);
        }
        self.qualifier(name.schema, name.table);
        self.listed(name)
    }

    /// Where the rows of a table are.
    pub(super) fn listed(&self, name: sql::TableName) -> Result<InstanceKind, Refusal> {
        let text = self.text();
        let own = match name.schema {
            Some(schema) => same_name(&schema.name(text), self.rules.name().as_bytes()),
            None => self.request.schema.is_none_or(|schema| schema == self.rules.name()),
        };
        if !own {
            let schema = name.schema.map(|schema| String::from_utf8_lossy(&schema.name(text)).into_owned());
            let schema = schema.or_else(|| self.request.schema.map(str::to_owned)).unwrap_or_default();
            return Err(Refusal::Foreign { schema });
        }
        let table = String::from_utf8_lossy(&name.table.name(text)).into_owned();
        let Some(id) = self.rules.table_named(&table) else {
            return match self.rules.policies().unlisted_tables {
                Unlisted::Reject => Err(Refusal::Unlisted { table }),
                Unlisted::In(slot) => Ok(InstanceKind::Single(slot)),
            };
        };
        Ok(match &self.rules.table(id).kind {
            TableKind::Placed(placed) => InstanceKind::Placed(id, placed.placement),
            TableKind::Reference { source } => InstanceKind::Reference(*source),
            TableKind::Single(slot) => InstanceKind::Single(*slot),
        })
    }

    fn qualifier(&mut self, schema: Option<Span>, table: Span) {
        let Some(schema) = schema else { return };
        if same_name(&schema.name(self.text()), self.rules.name().as_bytes()) {
            self.qualifiers.push(Span::new(schema.start, table.start));
        }
    }

    fn column(&mut self, name: ColumnName) {
        if let Some(table) = name.table {
            self.qualifier(name.schema, table);
        }
    }
}
