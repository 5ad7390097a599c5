//! What the columns of a control's query mean.

use arrow::datatypes::DataType;
use datafusion::logical_expr::LogicalPlan;

use super::query::QueryProblem;
use crate::check::pack::Mode;

/// The positions of the columns in the rows that a query gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputColumns {
    /// The resource, text.
    pub(crate) resource: usize,
    /// The status, text; `None` where every row is an alarm.
    pub(crate) status: Option<usize>,
    /// The reason, text.
    pub(crate) reason: usize,
    /// The account, text.
    pub(crate) account_id: Option<usize>,
    /// The region, text.
    pub(crate) region: Option<usize>,
    /// A severity that the row has instead of its control's, text.
    pub(crate) severity: Option<usize>,
    /// All others, in the order of their names.
    pub(crate) dimensions: Vec<usize>,
    /// All others as a JSON object with sorted keys, where the rows bring them so: a policy's need not be the same in each.
    pub(crate) dimensions_text: Option<usize>,
}

impl OutputColumns {
    /// The columns of `plan`.
    ///
    /// # Errors
    /// What is missing, has another type than text, or is there twice.
    pub(super) fn of(plan: &LogicalPlan, mode: Mode) -> Result<Self, Vec<QueryProblem>> {
        let mut problems = Vec::new();
        let fields = plan.schema().fields();
        let mut names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
            let problem = QueryProblem::whole(format!("the column `{}` is selected twice", pair[0]));
            problems.push(problem.with_help("give one of them another name with `as`"));
        }
        let mut find = |name: &str, required: bool| -> Option<usize> {
            let position = fields.iter().position(|field| field.name() == name);
            match position {
                Some(position) if is_text(fields[position].data_type()) => {}
                Some(position) => {
                    let found = fields[position].data_type();
                    let problem = QueryProblem::whole(format!("the column `{name}` must be text, it is {found}"));
                    problems.push(problem.with_help(format!("write `cast(… as text) as {name}`")));
                }
                None if required => {
                    let problem = QueryProblem::whole(format!("the query selects no column `{name}`"));
                    problems.push(problem.with_help("select `resource`, `status` and `reason`"));
                }
                None => {}
            }
            position
        };
        let resource = find("resource", true);
        let status = find("status", mode == Mode::Status);
        let reason = find("reason", true);
        let (account_id, region, severity) =
            (find("account_id", false), find("region", false), find("severity", false));
        let known = [resource, status, reason, account_id, region, severity];
        let mut dimensions: Vec<usize> =
            (0..fields.len()).filter(|position| !known.contains(&Some(*position))).collect();
        dimensions.sort_by_key(|position| fields[*position].name());
        match (resource, reason) {
            (Some(resource), Some(reason)) if problems.is_empty() => {
                Ok(Self { resource, status, reason, account_id, region, severity, dimensions, dimensions_text: None })
            }
            _ => Err(problems),
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}
