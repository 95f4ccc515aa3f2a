//! HAVING over numbers: conditions that rows are held to as they are merged.

use crate::merge::{Condition, Operand, Operator};
use crate::sharding::key::KeyLiteral;
use crate::sharding::planner::Refusal;
use crate::sharding::planner::aggregate::Groups;
use crate::sharding::planner::value::{Value, value};
use crate::sql::tree::{CompareOp, Constant, ExprId, ExprKind, Polarity, Truth};

impl Groups<'_, '_, '_> {
    /// HAVING.
    pub(super) fn condition(&mut self, id: ExprId) -> Result<Condition, Refusal> {
        let tree = self.columns.statement.tree;
        match &tree.expr(id).kind {
            ExprKind::And(list) => Ok(Condition::And(self.conditions(list)?)),
            ExprKind::Or(list) => Ok(Condition::Or(self.conditions(list)?)),
            ExprKind::Not(inner) => Ok(Condition::Not(Box::new(self.condition(*inner)?))),
            ExprKind::Compare(op, left, right) => self.comparison(*op, *left, *right),
            ExprKind::Between([operand, low, high], polarity) => {
                let low = self.comparison(CompareOp::GreaterOrEqual, *operand, *low)?;
                let high = self.comparison(CompareOp::LessOrEqual, *operand, *high)?;
                let both = Condition::And(vec![low, high]);
                Ok(match polarity {
                    Polarity::Plain => both,
                    Polarity::Negated => Condition::Not(Box::new(both)),
                })
            }
            ExprKind::Is(operand, Truth::Null, polarity) => {
                let Operand::Column(column) = self.operand(*operand)? else {
                    return Err(Refusal::Shape { what: "this HAVING" });
                };
                let null = Condition::IsNull(column);
                Ok(match polarity {
                    Polarity::Plain => null,
                    Polarity::Negated => Condition::Not(Box::new(null)),
                })
            }
            _ => Err(Refusal::Shape { what: "this HAVING" }),
        }
    }

    fn conditions(&mut self, list: &[ExprId]) -> Result<Vec<Condition>, Refusal> {
        list.iter().map(|one| self.condition(*one)).collect()
    }

    fn comparison(&mut self, op: CompareOp, left: ExprId, right: ExprId) -> Result<Condition, Refusal> {
        let operator = match op {
            CompareOp::Equal => Operator::Equal,
            CompareOp::NotEqual => Operator::NotEqual,
            CompareOp::Less => Operator::Less,
            CompareOp::LessOrEqual => Operator::LessOrEqual,
            CompareOp::Greater => Operator::Greater,
            CompareOp::GreaterOrEqual => Operator::GreaterOrEqual,
            CompareOp::NullSafeEqual => return Err(Refusal::Shape { what: "<=> in HAVING" }),
        };
        Ok(Condition::Compare { left: self.operand(left)?, operator, right: self.operand(right)? })
    }

    fn operand(&mut self, id: ExprId) -> Result<Operand, Refusal> {
        let statement = self.columns.statement;
        if let ExprKind::Constant(Constant::Number { value }) = statement.tree.expr(id).kind {
            let text = String::from_utf8_lossy(value.of(statement.text())).into_owned();
            let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
            return if plain {
                Ok(Operand::Number(text))
            } else {
                Err(Refusal::Shape { what: "this HAVING" })
            };
        }
        if let ExprKind::Parameter(_) = statement.tree.expr(id).kind {
            let value = value(statement.request, statement.tree.expr(id));
            return match value.as_ref().map(Value::as_key) {
                Some(KeyLiteral::Integer(number)) => Ok(Operand::Number(number.to_string())),
                _ => Err(Refusal::Shape { what: "this HAVING" }),
            };
        }
        let expr = self.columns.item_of(id, true)?.map_or(id, |(_, expr)| expr);
        let numeric = matches!(&statement.tree.expr(expr).kind, ExprKind::Call(call)
            if matches!(call.name.as_deref(), Some("COUNT" | "SUM")));
        if !numeric {
            // An AVG is compared with more digits than it shows.
            return Err(Refusal::Shape { what: "HAVING of something else than COUNT or SUM" });
        }
        Ok(Operand::Column(self.value(expr)?.column))
    }
}
