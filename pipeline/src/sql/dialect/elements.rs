//! Functions that make rows: `from T a, jsonb_array_elements(a.list) as x` becomes
//! `from (select *, unnest(json_list(a.list)) as x from T a) a`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, Join, JoinConstraint, JoinOperator, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Spanned, TableAlias, TableFactor, TableWithJoins, Value, VisitMut,
    VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::scope::{self, Names};
use super::{Refusal, build};

/// The list that a function makes rows of; `None` where it makes none.
pub(super) fn list_of(function: &str) -> Option<&'static str> {
    match function {
        "json_array_elements" | "jsonb_array_elements" => Some("json_list"),
        "json_array_elements_text" | "jsonb_array_elements_text" => Some("json_list_text"),
        "json_object_keys" | "jsonb_object_keys" => Some("json_keys"),
        _ => None,
    }
}

/// Rewrites the functions that make rows in the selects of `query`, not in its subqueries.
///
/// # Errors
/// The first that cannot be rewritten.
pub(super) fn lower(query: &mut Query) -> Result<(), Refusal> {
    let mut found: Vec<(Expansion, Option<Ident>)> = Vec::new();
    lower_body(&mut query.body, &mut found)?;
    for (expansion, into) in &found {
        // `x.value` in a subquery with an `x` of its own would be another one.
        let wraps = |alias: &Ident| {
            let into = found.iter().filter(|(_, into)| into.as_ref().is_some_and(|into| scope::same(into, alias)));
            into.count()
        };
        let own = |alias: &Ident| if into.is_none() { 1 + wraps(alias) } else { 0 };
        if expansion.alias.as_ref().is_some_and(|alias| scope::called(query, alias) > own(alias)) {
            let message = format!("`{}` names two relations", expansion.column);
            return Err(Refusal::new(expansion.span, message, "give one of them another name"));
        }
        let _ = query.visit(&mut Renamer(expansion));
    }
    Ok(())
}

fn lower_body(body: &mut SetExpr, found: &mut Vec<(Expansion, Option<Ident>)>) -> Result<(), Refusal> {
    match body {
        SetExpr::Select(select) => lower_select(select, found),
        SetExpr::SetOperation { left, right, .. } => {
            lower_body(left, found)?;
            lower_body(right, found)
        }
        _ => Ok(()),
    }
}

fn lower_select(select: &mut Select, found: &mut Vec<(Expansion, Option<Ident>)>) -> Result<(), Refusal> {
    for item in &mut select.projection {
        let _ = item.visit(&mut InProjection);
    }
    let mut relations = Relations::default();
    for table in std::mem::take(&mut select.from) {
        relations.take(table, &mut select.selection)?;
    }
    let wrapped: Vec<&Ident> = relations.placed.iter().filter_map(|(_, into)| into.as_ref()).collect();
    for item in &select.projection {
        if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
            && let Some(ident) = name.0.last().and_then(|part| part.as_ident())
            && wrapped.iter().any(|wrapped| scope::same(wrapped, ident))
        {
            let message = format!("`{name}.*` would include the elements that are joined to it");
            return Err(Refusal::new(ident.span, message, "list the columns"));
        }
    }
    select.from = relations.tables;
    found.extend(relations.placed);
    Ok(())
}

/// `jsonb_array_elements(x)` among what is selected.
struct InProjection;

impl VisitorMut for InProjection {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression
            && let Some(list) = list_of(&build::name(&function.name))
            && let Some(arguments) = build::arguments(function)
        {
            let span = function.name.span();
            *expression = build::call("unnest", vec![build::call(list, arguments, span)], span);
        }
        ControlFlow::Continue(())
    }
}

/// A function that makes rows, as it stands in FROM.
struct Expansion {
    /// What `unnest` makes rows of.
    list: Expr,
    /// The name of the column.
    column: Ident,
    /// The name of the relation, as PostgreSQL sees it.
    alias: Option<Ident>,
    /// The name that PostgreSQL gives to the column where the query gives none.
    own: &'static str,
    span: Span,
}

impl Expansion {
    /// What `factor` is, if it makes rows.
    fn of(factor: &TableFactor) -> Result<Option<Self>, Refusal> {
        let (list, alias, ordinality, own, span) = match factor {
            TableFactor::Table { name, args: Some(arguments), alias, with_ordinality, .. } => {
                let Some(list) = list_of(&build::name(name)) else { return Ok(None) };
                let Some(arguments) = build::plain(&arguments.args) else { return Ok(None) };
                (build::call(list, arguments, name.span()), alias, *with_ordinality, "value", name.span())
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                let Some(list) = list_of(&build::name(name)) else { return Ok(None) };
                let Some(arguments) = build::plain(args) else { return Ok(None) };
                (build::call(list, arguments, name.span()), alias, *with_ordinality, "value", name.span())
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => match array_exprs.as_slice() {
                // Of a list that no row has, DataFusion makes rows itself.
                [list] if !Names::of(list).0.is_empty() => {
                    (list.clone(), alias, *with_ordinality, "unnest", list.span())
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if ordinality {
            let help = "leave it out; `array_position` and `list[1]` reach elements by their place";
            return Err(Refusal::new(span, "WITH ORDINALITY cannot be planned", help));
        }
        let column = match alias {
            Some(TableAlias { columns, .. }) if columns.len() == 1 => columns[0].name.clone(),
            Some(TableAlias { name, .. }) => name.clone(),
            None => Ident::new(own),
        };
        let alias = alias.as_ref().map(|alias| alias.name.clone());
        Ok(Some(Self { list, column, alias, own, span }))
    }

    /// The rows: one for each element, none for an empty list, or one of NULL with `outer`.
    fn rows(&self, outer: bool) -> Expr {
        let list = match outer {
            false => self.list.clone(),
            true => {
                let null = Expr::Cast {
                    kind: datafusion::sql::sqlparser::ast::CastKind::Cast,
                    expr: Box::new(Expr::Value(Value::Null.with_empty_span())),
                    data_type: DataType::Text,
                    array: false,
                    format: None,
                };
                let length = build::call("array_length", vec![self.list.clone()], self.span);
                let zero = Expr::Value(Value::Number("0".to_owned(), false).with_empty_span());
                let filled = Expr::BinaryOp { left: Box::new(length), op: BinaryOperator::Gt, right: Box::new(zero) };
                Expr::Case {
                    case_token: datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
                    end_token: datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
                    operand: None,
                    conditions: vec![datafusion::sql::sqlparser::ast::CaseWhen {
                        condition: filled,
                        result: self.list.clone(),
                    }],
                    else_result: Some(Box::new(build::call("make_array", vec![null], self.span))),
                }
            }
        };
        build::call("unnest", vec![list], self.span)
    }
}

/// `x.value`, `x.x` and `x` are the column.
struct Renamer<'e>(&'e Expansion);

impl VisitorMut for Renamer<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let Some(alias) = &self.0.alias else { return ControlFlow::Continue(()) };
        let column = |span: Span| {
            let mut ident = self.0.column.clone();
            ident.span = span;
            Expr::Identifier(ident)
        };
        match expression {
            Expr::Identifier(ident) if scope::same(ident, alias) && !scope::same(ident, &self.0.column) => {
                *expression = column(ident.span);
            }
            Expr::CompoundIdentifier(parts) => {
                if let [first, second] = parts.as_slice()
                    && scope::same(first, alias)
                    && (scope::same(second, &self.0.column) || second.value == self.0.own)
                {
                    *expression = column(second.span);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// What FROM lists, as far as it is read.
#[derive(Default)]
struct Relations {
    tables: Vec<TableWithJoins>,
    /// Each function, and the relation whose rows it multiplies.
    placed: Vec<(Expansion, Option<Ident>)>,
}

impl Relations {
    fn take(&mut self, table: TableWithJoins, selection: &mut Option<Expr>) -> Result<(), Refusal> {
        let TableWithJoins { relation, joins } = table;
        let many_sided = joins.iter().any(|join| {
            matches!(
                join.join_operator,
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
            )
        });
        match Expansion::of(&relation)? {
            Some(expansion) => {
                let at = self.place(expansion, false)?;
                // What is joined to the elements is joined to the relation that has them now.
                let table = self.tables.remove(at);
                self.tables.push(table);
            }
            None => self.tables.push(TableWithJoins { relation, joins: Vec::new() }),
        }
        for join in joins {
            let Some(expansion) = Expansion::of(&join.relation)? else {
                if let Some(table) = self.tables.last_mut() {
                    table.joins.push(join);
                }
                continue;
            };
            let outer = self.condition(&expansion, join, many_sided, selection)?;
            self.place(expansion, outer)?;
        }
        Ok(())
    }

    /// Whether a join keeps rows without elements. Its condition goes into `selection`.
    fn condition(
        &self,
        expansion: &Expansion,
        join: Join,
        many_sided: bool,
        selection: &mut Option<Expr>,
    ) -> Result<bool, Refusal> {
        const HELP: &str = "join elements with `cross join`, or `left join … on true`";
        let (constraint, outer) = match join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) | JoinOperator::CrossJoin(constraint) => {
                (constraint, false)
            }
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (constraint, true),
            _ => return Err(Refusal::new(expansion.span, "elements cannot be joined in this way", HELP)),
        };
        if many_sided {
            return Err(Refusal::new(expansion.span, "elements cannot be joined beside a RIGHT or FULL join", HELP));
        }
        match constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(Expr::Value(value)) if value.value == Value::Boolean(true) => {}
            JoinConstraint::On(condition) if !outer => {
                let nested = |expression: Expr| Box::new(Expr::Nested(Box::new(expression)));
                *selection = Some(match selection.take() {
                    None => condition,
                    Some(before) => {
                        Expr::BinaryOp { left: nested(before), op: BinaryOperator::And, right: nested(condition) }
                    }
                });
            }
            _ => return Err(Refusal::new(expansion.span, "elements cannot be joined on a condition here", HELP)),
        }
        Ok(outer)
    }

    /// Multiplies the rows of the relation that has the list. Gives the position of its table.
    fn place(&mut self, expansion: Expansion, outer: bool) -> Result<usize, Refusal> {
        let names = Names::of(&expansion.list);
        let rows = expansion.rows(outer);
        let Some(owner) = self.owner(&names, &expansion)? else {
            let name = expansion.alias.clone().unwrap_or_else(|| expansion.column.clone());
            let relation = build::derived(rows, expansion.column.clone(), None, name);
            let Some(relation) = relation else { return Err(unbuilt(&expansion)) };
            self.tables.push(TableWithJoins { relation, joins: Vec::new() });
            self.placed.push((expansion, None));
            return Ok(self.tables.len() - 1);
        };
        for (position, table) in self.tables.iter_mut().enumerate() {
            let optional =
                |join: &Join| matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_));
            let joined = table.joins.iter_mut().map(|join| (optional(join), &mut join.relation));
            for (optional, factor) in std::iter::once((false, &mut table.relation)).chain(joined) {
                if !scope::name(factor).is_some_and(|name| scope::same(&name, &owner)) {
                    continue;
                }
                if optional {
                    let message =
                        format!("`{owner}` is joined by LEFT JOIN, so its elements cannot be listed behind it");
                    return Err(Refusal::new(expansion.span, message, "list the elements in a subquery of its own"));
                }
                let wrapped = build::derived(rows, expansion.column.clone(), Some(factor.clone()), owner.clone());
                let Some(wrapped) = wrapped else { return Err(unbuilt(&expansion)) };
                *factor = wrapped;
                self.placed.push((expansion, Some(owner)));
                return Ok(position);
            }
        }
        Err(unbuilt(&expansion))
    }

    /// The relation that a list belongs to; `None` where it belongs to none, being the same for all rows.
    fn owner(&self, names: &Names, expansion: &Expansion) -> Result<Option<Ident>, Refusal> {
        let known: Vec<Ident> = self
            .tables
            .iter()
            .flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)))
            .filter_map(scope::name)
            .collect();
        let mut owners: Vec<Ident> = Vec::new();
        for (qualifier, column) in &names.0 {
            let named = qualifier.as_ref().unwrap_or(column);
            // Elements of elements belong to the relation that has the first.
            let placed = self.placed.iter().find(|(placed, _)| {
                placed.alias.as_ref().is_some_and(|alias| scope::same(alias, named))
                    || (qualifier.is_none() && scope::same(&placed.column, column))
            });
            let owner = match (placed, qualifier) {
                (Some((placed, into)), _) => into.clone().or_else(|| placed.alias.clone()),
                (None, Some(qualifier)) => known.iter().find(|known| scope::same(known, qualifier)).cloned(),
                (None, None) => None,
            };
            match (owner, known.as_slice()) {
                (Some(owner), _) => owners.push(owner),
                (None, [only]) => owners.push(only.clone()),
                (None, []) => {
                    let message = "the elements of a list of the outer query cannot be listed in a subquery";
                    let help = "list them in FROM of the outer query: `from T t, jsonb_array_elements(t.list) as x where …`, \
                                with `select distinct` or `group by` for one row of each";
                    return Err(Refusal::new(expansion.span, message, help));
                }
                (None, _) => {
                    let message = format!("which relation has `{column}` is not known here");
                    return Err(Refusal::new(
                        expansion.span,
                        message,
                        format!("write `t.{column}`, with the name of its table"),
                    ));
                }
            }
        }
        owners.dedup_by(|one, other| scope::same(one, other));
        match owners.len() {
            0 => Ok(None),
            1 => Ok(owners.pop()),
            _ => {
                let message = "a list made of columns of two relations cannot be listed";
                Err(Refusal::new(expansion.span, message, "join the relations in a subquery first"))
            }
        }
    }
}

fn unbuilt(expansion: &Expansion) -> Refusal {
    Refusal::new(expansion.span, "the elements of this list cannot be listed here", "list them in a subquery")
}

/// A function that makes rows where there can be only one value.
pub(super) fn misplaced(function: &Function) -> Option<Refusal> {
    let name = build::name(&function.name);
    let list = list_of(&name)?;
    let message = format!("`{name}` makes rows, so it can stand only in FROM or among what is selected");
    Some(Refusal::new(function.name.span(), message, format!("`{list}(…)` is the list itself")))
}
