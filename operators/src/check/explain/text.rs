//! Expressions of a plan as SQL that reads like what its author wrote.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::Expr;
use datafusion::sql::unparser::Unparser;
use datafusion::sql::unparser::dialect::Dialect;

/// Names stand without quotes where PostgreSQL allows it, also those that are key words elsewhere.
struct Plain;

impl Dialect for Plain {
    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        (!identifier.chars().all(plain)).then_some('"')
    }
}

/// `expression` over rows of `schema` as SQL.
pub(super) fn sql(expression: &Expr, schema: &DFSchema) -> String {
    let simple = simplified(expression.clone(), schema);
    match Unparser::new(&Plain).with_pretty(true).expr_to_sql(&simple) {
        Ok(sql) => sql.to_string(),
        // Whatever SQL has no words for is shown as the plan shows it.
        Err(_) => simple.to_string(),
    }
}

/// Columns without their tables where no other table has one of that name, and literals without the casts that parameters
/// bring along.
fn simplified(expression: Expr, schema: &DFSchema) -> Expr {
    let simple = expression.clone().transform_up(|inner| {
        Ok(match inner {
            Expr::Column(column) if is_alone(&column, schema) => {
                Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
            }
            Expr::Cast(cast) if matches!(*cast.expr, Expr::Literal(..)) => Transformed::yes(*cast.expr),
            other => Transformed::no(other),
        })
    });
    simple.map_or(expression, |simple| simple.data)
}

fn is_alone(column: &Column, schema: &DFSchema) -> bool {
    column.relation.is_some() && schema.fields().iter().filter(|field| *field.name() == column.name).count() == 1
}
